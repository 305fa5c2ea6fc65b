//! Every kind of segment in every synchronized state, against a table of RFC 9293 §3.10.7.4 with
//! RFC 5961, and with RFC 7323 for timestamps.

use super::phases::script_in;
use super::script::plain;
use super::{Script, ack, data, fin, rst, syn};
use crate::tcp::Phase::{
    self, CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, TimeWait,
};
use crate::tcp::tests::literals::{In, Sent};
use crate::tcp::{Events, Flags, Settings};

pub(super) const SYNCHRONIZED: [Phase; 7] =
    [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck, TimeWait];

/// Outcome of a segment. An acknowledgment is <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Accepted, without a response.
    Used,
    /// Accepted and acknowledged, at once or delayed.
    Acked,
    /// Dropped silently.
    Dropped,
    /// Dropped and answered with an ACK.
    Echo,
}
use Outcome::{Acked, Dropped, Echo, Used};

/// Sequence numbers of the connection, relative.
struct Numbers {
    rcv_nxt: u32,
    edge: u32,
    una: u32,
    nxt: u32,
}

impl Numbers {
    fn of(t: &Script) -> Self {
        Self {
            rcv_nxt: t.c.rcv.nxt.distance_from(t.irs),
            edge: t.c.rcv.edge.distance_from(t.irs),
            una: t.c.snd.una.distance_from(t.iss()),
            nxt: t.c.snd.nxt.distance_from(t.iss()),
        }
    }
}

/// A kind of segment, and its outcome: the next state and the response.
struct Kind {
    name: &'static str,
    segment: fn(&Numbers) -> In,
    outcome: fn(Phase) -> (Phase, Outcome),
}

const fn kind(
    name: &'static str,
    segment: fn(&Numbers) -> In,
    outcome: fn(Phase) -> (Phase, Outcome),
) -> Kind {
    Kind { name, segment, outcome }
}

/// Nothing changes, nothing is sent.
fn ignored(phase: Phase) -> (Phase, Outcome) {
    (phase, Dropped)
}

/// Nothing changes; an ACK reports the current numbers.
fn acknowledged(phase: Phase) -> (Phase, Outcome) {
    (phase, Echo)
}

/// Text is accepted and acknowledged where the peer may still send (seventh), otherwise ignored.
fn text(phase: Phase) -> (Phase, Outcome) {
    let receives = matches!(phase, Established | FinWait1 | FinWait2);
    (phase, if receives { Acked } else { Dropped })
}

/// Fifth: an acceptable ACK of all that we sent, our FIN included.
fn acked(phase: Phase) -> (Phase, Outcome) {
    let next = match phase {
        FinWait1 => FinWait2,
        Closing => TimeWait,
        LastAck => Closed,
        other => other,
    };
    (next, Used)
}

/// Eighth: the FIN.
fn ended(phase: Phase) -> (Phase, Outcome) {
    match phase {
        Established => (CloseWait, Acked),
        FinWait1 => (Closing, Acked),
        FinWait2 => (TimeWait, Acked),
        // "Remain in the […] state": there is no second FIN behind the first.
        other => (other, Dropped),
    }
}

/// Second: a reset at RCV.NXT. RFC 1337 §3 keeps TIME-WAIT.
fn reset(phase: Phase) -> (Phase, Outcome) {
    (if phase == TimeWait { TimeWait } else { Closed }, Used)
}

/// Returns a pure ACK at `seq` that repeats the peer's last acknowledgment number.
fn at(n: &Numbers, seq: u32) -> In {
    ack(n.una).seq(seq)
}

const KINDS: [Kind; 36] = [
    // First, the sequence number; fourth, the SYN "irrespective of the sequence number".
    kind("the old SYN", |n| syn().ack(n.una).no_ack(), acknowledged),
    kind("a SYN at RCV.NXT", |n| syn().seq(n.rcv_nxt), acknowledged),
    kind("a SYN in the window", |n| syn().seq(n.rcv_nxt + 100), acknowledged),
    kind("a SYN past the window", |n| syn().seq(n.edge + 100), acknowledged),
    kind("the old SYN-ACK", |n| syn().ack(n.una), acknowledged),
    kind("a SYN-ACK in the window", |n| syn().seq(n.rcv_nxt).ack(n.una), acknowledged),
    kind("a SYN-ACK of unsent data", |n| syn().seq(n.rcv_nxt).ack(n.nxt + 1), acknowledged),
    // Fifth, the ACK.
    kind("the ACK of everything", |n| at(n, n.rcv_nxt).ack(n.nxt), acked),
    kind("a duplicate ACK", |n| at(n, n.rcv_nxt), ignored),
    kind("an old ACK within MAX.SND.WND", |n| at(n, n.rcv_nxt).ack(n.una - 1), ignored),
    kind("an ACK of unsent data", |n| at(n, n.rcv_nxt).ack(n.nxt + 1), acknowledged),
    kind(
        "an ACK older than MAX.SND.WND",
        |n| at(n, n.rcv_nxt).ack(n.una.wrapping_sub(60_001)),
        acknowledged,
    ),
    kind("an ACK left of the window", |n| at(n, n.rcv_nxt - 1).ack(n.nxt), acknowledged),
    kind("an ACK right of the window", |n| at(n, n.edge + 1).ack(n.nxt), acknowledged),
    // Second, RST, checks of RFC 5961 §3.2.
    kind("a RST at RCV.NXT", |n| rst(n.rcv_nxt), reset),
    kind(
        "a RST with ACK and data at RCV.NXT",
        |n| data(n.rcv_nxt..n.rcv_nxt + 5).ack(n.nxt).flag(Flags::RST),
        reset,
    ),
    kind(
        "a RST in the window",
        |n| rst(n.rcv_nxt + 1),
        |phase| (phase, if phase == TimeWait { Dropped } else { Echo }),
    ),
    kind("a RST left of the window", |n| rst(n.rcv_nxt - 1), ignored),
    kind("a RST right of the window", |n| rst(n.edge + 1), ignored),
    // Eighth, the FIN.
    kind("a FIN at RCV.NXT", |n| fin(n.rcv_nxt).ack(n.una), ended),
    kind(
        "a FIN that acknowledges everything",
        |n| fin(n.rcv_nxt).ack(n.nxt),
        |phase| match phase {
            FinWait1 => (TimeWait, Acked),
            Established | FinWait2 => ended(phase),
            other => acked(other),
        },
    ),
    kind("a FIN past a hole", |n| fin(n.rcv_nxt + 10).ack(n.una), text),
    kind("a FIN left of the window", |n| fin(n.rcv_nxt - 1).ack(n.una), acknowledged),
    kind("a FIN right of the window", |n| fin(n.edge + 1).ack(n.una), acknowledged),
    kind("a FIN without ACK", |n| fin(n.rcv_nxt).no_ack(), ignored),
    // Seventh, the text.
    kind("data at RCV.NXT", |n| data(n.rcv_nxt..n.rcv_nxt + 10), text),
    kind("data past a hole", |n| data(n.rcv_nxt + 10..n.rcv_nxt + 20), text),
    kind("data left of the window", |n| data(n.rcv_nxt - 1..n.rcv_nxt), acknowledged),
    kind("data over the left edge", |n| data(n.rcv_nxt - 1..n.rcv_nxt + 10), text),
    kind("data over the right edge", |n| data(n.edge - 10..n.edge + 10), text),
    kind("data right of the window", |n| data(n.edge + 1..n.edge + 11), acknowledged),
    kind("data without ACK", |n| data(n.rcv_nxt..n.rcv_nxt + 10).no_ack(), ignored),
    kind("data with FIN", |n| data(n.rcv_nxt..n.rcv_nxt + 10).fin(), ended),
    // Sixth, URG, and no flag at all.
    kind("URG", |n| at(n, n.rcv_nxt).urgent(5), ignored),
    kind("no flags", |n| at(n, n.rcv_nxt).no_ack(), ignored),
    kind("no flags outside the window", |n| at(n, n.rcv_nxt - 1).no_ack(), acknowledged),
];

/// Returns everything sent within the delayed ACK time, before any retransmission.
fn answer(t: &mut Script) -> Vec<Sent> {
    let mut sent = t.sent();
    t.after_ms(50);
    sent.extend(t.sent());
    sent
}

fn check(t: &mut Script, kind: &Kind) {
    let before = Numbers::of(t);
    let phase = t.c.phase();
    let name = kind.name;
    let (next, expected) = (kind.outcome)(phase);
    let _ = t.receives((kind.segment)(&before));
    let sent = answer(t);
    assert_eq!(t.c.phase(), next, "{name} in {phase:?}");
    let after = Numbers::of(t);
    match expected {
        Used | Dropped => assert!(sent.is_empty(), "{name} in {phase:?} is answered by {sent:?}"),
        Acked | Echo => {
            assert_eq!(sent.len(), 1, "{name} in {phase:?}: {sent:?}");
            let (seq, ack) = (sent[0].seq, sent[0].ack);
            assert_eq!((seq, ack), (after.nxt, after.rcv_nxt), "{name} in {phase:?}");
            assert_eq!((sent[0].flags, sent[0].len), (Flags::ACK, 0), "{name} in {phase:?}");
        }
    }
    if matches!(expected, Dropped | Echo) {
        assert_eq!(after.rcv_nxt, before.rcv_nxt, "{name} in {phase:?}");
        assert_eq!(after.una, before.una, "{name} in {phase:?}");
    }
    t.discards(1000);
    let reported = t.c.take_events().contains(Events::CLOSED);
    assert_eq!(reported, next.is_last() && !phase.is_last(), "CLOSED of {name} in {phase:?}");
}

#[test]
fn every_segment_in_every_synchronized_state_has_the_outcome_of_the_rfc() {
    for phase in SYNCHRONIZED {
        for kind in &KINDS {
            check(&mut script_in(phase), kind);
        }
    }
}

/// Cases that timestamps add in every state (RFC 7323 §3.2, §5.3).
#[test]
fn segments_with_old_or_missing_timestamps_are_refused_in_every_synchronized_state() {
    let stamped: [Kind; 6] = [
        kind(
            "a duplicate ACK with an old timestamp",
            |n| at(n, n.rcv_nxt).stamp(99, 0),
            acknowledged,
        ),
        kind(
            "an ACK of everything, old",
            |n| at(n, n.rcv_nxt).ack(n.nxt).stamp(99, 0),
            acknowledged,
        ),
        kind(
            "data with an old timestamp",
            |n| data(n.rcv_nxt..n.rcv_nxt + 9).stamp(99, 0),
            acknowledged,
        ),
        kind("data without timestamp", |n| data(n.rcv_nxt..n.rcv_nxt + 9), ignored),
        kind("a FIN without timestamp", |n| fin(n.rcv_nxt).ack(n.nxt), ignored),
        kind("a RST with an old timestamp", |n| rst(n.rcv_nxt).stamp(5, 0), reset),
    ];
    for phase in SYNCHRONIZED {
        for kind in &stamped {
            check(&mut stamped_in(phase), kind);
        }
    }
}

/// Like [`script_in`], with timestamps at both ends and the peer's clock at 100.
fn stamped_in(phase: Phase) -> Script {
    let mut t = Script::established_with(|s| *s = Settings { timestamps: true, ..plain() });
    let fin = || fin(1).stamp(100, 0);
    match phase {
        FinWait1 => drop(t.closes()),
        FinWait2 => {
            t.closes().sent();
            t.gets(ack(2).stamp(100, 0));
        }
        CloseWait => drop(t.gets(fin())),
        Closing => {
            t.closes().sent();
            t.gets(fin());
        }
        LastAck => drop(t.gets(fin()).closes()),
        TimeWait => {
            t.closes().sent();
            t.gets(fin().ack(2));
        }
        _ => {}
    }
    t.sent();
    t.is(phase);
    t.c.take_events();
    t
}

fn drop<T>(_: T) {}
