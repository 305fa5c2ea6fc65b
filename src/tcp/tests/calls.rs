//! Every call of the program and every timeout, in every state: RFC 9293 §3.10.2 to §3.10.6 and
//! §3.10.8, as tables. OPEN belongs to the shard.

use super::phases::script_in;
use super::{Script, data, fin, text};
use crate::tcp::Phase::{
    self, CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived,
    SynSent, TimeWait,
};
use crate::tcp::{CloseReason, Flags};

#[test]
fn send_is_accepted_queued_or_refused_by_state() {
    // §3.10.2: accepted in ESTABLISHED and CLOSE-WAIT, queued before, "error: connection closing"
    // after.
    for phase in Phase::ALL {
        let mut t = script_in(phase);
        let (accepted, sent) = match phase {
            SynSent | SynReceived => (10, false),
            Established | CloseWait => (10, true),
            _ => (0, false),
        };
        assert_eq!(t.c.write_room(&t.settings) > 0, accepted > 0, "{phase:?}");
        assert_eq!(t.writes(10), accepted, "{phase:?}");
        assert_eq!(t.sent().iter().any(|s| s.len == 10), sent, "{phase:?}");
    }
}

#[test]
fn receive_returns_buffered_data_in_every_state() {
    // §3.10.3: nothing before ESTABLISHED; after the peer's FIN, the data that arrived before it.
    for phase in Phase::ALL {
        let mut t = with_unread_data(phase);
        let at_hand = match phase {
            SynSent | SynReceived | Closed => 0,
            _ => 10,
        };
        assert_eq!(t.c.readable(), at_hand, "{phase:?}");
        assert_eq!(t.reads(100), at_hand, "{phase:?}");
        assert_eq!(t.reads(100), 0, "{phase:?}");
        t.is(phase);
    }
}

/// Returns a connection in `phase` with ten unread bytes, where the state allows it.
fn with_unread_data(phase: Phase) -> Script {
    let mut t = match phase {
        SynSent | SynReceived => return script_in(phase),
        _ => script_in(Established),
    };
    t.gets(data(1..11)).sent();
    match phase {
        FinWait1 | FinWait2 | Closing | TimeWait => drop(t.closes().sent()),
        CloseWait | LastAck => drop(t.gets(fin(11)).sent()),
        Closed => drop(t.aborts().sent()),
        _ => {}
    }
    match phase {
        FinWait2 => drop(t.gets(super::ack(2))),
        Closing => drop(t.gets(fin(11))),
        TimeWait => drop(t.gets(fin(11).ack(2))),
        LastAck => drop(t.closes()),
        _ => {}
    }
    t.sent();
    t.is(phase);
    t
}

#[test]
fn close_sends_at_most_one_fin_and_follows_the_rfc() {
    // §3.10.4; in SYN-RECEIVED it is queued until ESTABLISHED.
    for phase in Phase::ALL {
        let mut t = script_in(phase);
        let nxt = t.c.snd.nxt.distance_from(t.iss());
        let next = match phase {
            SynSent => Closed,
            Established => FinWait1,
            CloseWait => LastAck,
            same => same,
        };
        t.closes().is(next);
        if matches!(phase, Established | CloseWait) {
            t.sends([text(nxt..nxt).fin()]);
        } else {
            t.quiet();
        }
        // "as long as a second FIN is not emitted"
        t.closes().is(next).quiet();
    }
}

#[test]
fn close_waits_for_all_data_queued_before() {
    // §3.10.4: "Queue this until all preceding SENDs have been segmentized".
    for (phase, next) in [(Established, FinWait1), (CloseWait, LastAck)] {
        let mut t = script_in(phase);
        assert_eq!(t.writes(2500), 2500);
        t.closes().is(next).sends([text(1..1001), text(1001..2001), text(2001..2501).fin()]);
    }
}

#[test]
fn abort_ends_every_state_and_resets_as_the_rfc_requires() {
    // §3.10.5: <SEQ=SND.NXT><CTL=RST>, all queues flushed.
    for phase in Phase::ALL {
        let mut t = script_in(phase);
        t.writes(10);
        t.sent();
        let nxt = t.c.snd.nxt.distance_from(t.iss());
        t.aborts().is(Closed);
        match phase {
            SynReceived | Established | FinWait1 | FinWait2 | CloseWait => {
                t.sends([text(nxt..nxt).flags(Flags::RST)]);
            }
            _ => drop(t.quiet()),
        }
        assert_eq!((t.pool.in_use(), t.deadline_ms()), (0, None), "{phase:?}");
    }
}

#[test]
fn status_returns_the_state() {
    // §3.10.6
    for phase in Phase::ALL {
        assert_eq!(script_in(phase).c.phase().name(), phase.name());
    }
    let names = Phase::ALL.map(Phase::name);
    assert_eq!(names[..2], ["SYN-SENT", "SYN-RECEIVED"]);
    assert_eq!(names[2..5], ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"]);
    assert_eq!(names[5..], ["CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT", "CLOSED"]);
}

/// Returns a connection in `phase` with outstanding data or a FIN, where the state allows it.
fn with_outstanding(phase: Phase) -> Script {
    let mut t = script_in(phase);
    if matches!(phase, Established | CloseWait) {
        t.writes(10);
        t.sent();
    }
    t
}

#[test]
fn a_timeout_retransmits_the_front_of_the_queue_in_every_state() {
    // §3.10.8: "send the segment at the front of the retransmission queue again"
    for phase in Phase::ALL {
        let mut t = with_outstanding(phase);
        let una = t.c.snd.una.distance_from(t.iss());
        let front = t.c.snd.outstanding() > 0;
        assert_eq!(front, !matches!(phase, FinWait2 | TimeWait | Closed), "{phase:?}");
        let wait = t.deadline_ms();
        assert_eq!(wait.is_some(), front, "{phase:?}: a timer runs while something is outstanding");
        let Some(wait) = wait else { continue };
        t.after_ms(wait);
        let sent = t.sent();
        assert_eq!(sent.len(), 1, "{phase:?}: {sent:?}");
        let flags = match phase {
            SynSent => Flags::SYN,
            SynReceived => Flags::SYN.with(Flags::ACK),
            Established | CloseWait => Flags::ACK.with(Flags::PSH),
            _ => Flags::ACK.with(Flags::FIN),
        };
        assert_eq!((sent[0].seq, sent[0].flags), (una, flags), "{phase:?}");
        t.is(phase);
    }
}

#[test]
fn the_user_timeout_ends_every_state_with_something_outstanding() {
    // §3.10.8: "flush all queues, signal the user [...], delete the TCB, enter the CLOSED state"
    for phase in Phase::ALL.into_iter().filter(|p| !matches!(p, FinWait2 | TimeWait | Closed)) {
        let mut t = with_outstanding(phase);
        t.after_ms(300_000).is(Closed);
        t.sent();
        assert_eq!(t.c.close_reason(), Some(CloseReason::TimedOut), "{phase:?}");
        assert_eq!((t.pool.in_use(), t.deadline_ms()), (0, None), "{phase:?}");
    }
}

fn drop<T>(_: T) {}
