//! The table of legal edges, against figure 5 of RFC 9293, and every phase with every event.

use super::script::{Script, plain};
use super::{ack, data, fin, rst, syn};
use crate::tcp::Phase::{
    self, CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived,
    SynSent, TimeWait,
};
use crate::tcp::{Events, PathError, SeqNum};

#[test]
fn the_edges_match_figure_5() {
    // Notes 2 and 3 included: the ACK of our FIN on the peer's FIN, and CLOSED from anywhere.
    let figure = [
        (SynSent, SynReceived),
        (SynSent, Established),
        (SynReceived, Established),
        (SynReceived, FinWait1),
        (Established, FinWait1),
        (Established, CloseWait),
        (FinWait1, FinWait2),
        (FinWait1, Closing),
        (FinWait1, TimeWait),
        (FinWait2, TimeWait),
        (Closing, TimeWait),
        (CloseWait, LastAck),
    ];
    for from in Phase::ALL {
        for to in Phase::ALL {
            let expected = figure.contains(&(from, to)) || to == Closed && from != Closed;
            assert_eq!(from.may_become(to), expected, "{from:?} -> {to:?}");
        }
    }
}

/// Returns a connection in `phase`, reached by segments.
pub(super) fn script_in(phase: Phase) -> Script {
    let mut t = match phase {
        SynSent | SynReceived => Script::open(plain()),
        _ => Script::established(),
    };
    match phase {
        SynSent => drop(t.sends_syn()),
        SynReceived => {
            t.sends_syn();
            t.gets(syn());
        }
        FinWait1 => drop(t.closes()),
        FinWait2 => {
            t.closes().sent();
            t.gets(ack(2));
        }
        CloseWait => drop(t.gets(fin(1))),
        Closing => {
            t.closes().sent();
            t.gets(fin(1));
        }
        LastAck => drop(t.gets(fin(1)).closes()),
        TimeWait => {
            t.closes().sent();
            t.gets(fin(1).ack(2));
        }
        Closed => drop(t.aborts()),
        Established => {}
    }
    t.sent();
    t.is(phase);
    t.c.take_events();
    t
}

type Event = (&'static str, fn(&mut Script));

/// Everything that can happen.
const EVENTS: [Event; 14] = [
    ("close", |t| drop(t.closes())),
    ("close both", |t| drop(t.closes_both())),
    ("abort", |t| drop(t.aborts())),
    ("write", |t| drop(t.writes(10))),
    ("read", |t| drop(t.reads(10))),
    ("syn", |t| drop(t.receives(syn()))),
    ("syn ack", |t| drop(t.receives(syn().ack(1)))),
    ("ack of the syn", |t| drop(t.receives(ack(1)))),
    ("ack of the fin", |t| drop(t.receives(ack(2)))),
    ("data", |t| drop(t.receives(data(1..11)))),
    ("fin", |t| drop(t.receives(fin(1)))),
    ("fin and ack of the fin", |t| drop(t.receives(fin(1).ack(2)))),
    ("reset", |t| {
        let seq = t.c.rcv.nxt.distance_from(t.irs);
        drop(t.receives(rst(seq).ack(1)));
    }),
    ("unreachable", |t| drop(t.path_error(PathError::Unreachable, 0))),
];

fn drop<T>(_: T) {}

/// Returns the phase after `event` in `phase`, by RFC 9293 §3.10; the same phase where it says
/// nothing.
fn expected(phase: Phase, event: &str) -> Phase {
    match (phase, event) {
        (Closed, _) => Closed,
        (TimeWait, "abort") => Closed,
        (TimeWait, _) => TimeWait,
        (_, "abort") => Closed,
        (SynSent, "close" | "close both" | "reset" | "unreachable") => Closed,
        (SynSent, "syn") => SynReceived,
        (SynSent, "syn ack") => Established,
        (SynSent, _) => SynSent,
        (SynReceived, "unreachable") => Closed,
        (SynReceived, "syn ack" | "ack of the syn" | "data") => Established,
        // The ACK of the SYN comes with the FIN.
        (SynReceived, "fin") => CloseWait,
        (_, "reset") => Closed,
        (SynReceived, _) => SynReceived,
        (Established, "close" | "close both") => FinWait1,
        (Established, "fin") => CloseWait,
        (FinWait1, "ack of the fin") => FinWait2,
        (FinWait1, "fin") => Closing,
        (FinWait1 | FinWait2, "fin and ack of the fin") => TimeWait,
        (FinWait2, "fin") => TimeWait,
        (CloseWait, "close" | "close both") => LastAck,
        (Closing, "ack of the fin" | "fin and ack of the fin") => Closing,
        (LastAck, "ack of the fin") => Closed,
        (same, _) => same,
    }
}

#[test]
fn every_event_in_every_phase_has_the_outcome_of_the_rfc() {
    for phase in Phase::ALL {
        for (name, event) in EVENTS {
            let mut t = script_in(phase);
            event(&mut t);
            let next = match (phase, name) {
                // The ACK moves SND.UNA past the FIN: unlike the repeated FIN, it is in the window.
                (Closing, "ack of the fin") => TimeWait,
                _ => expected(phase, name),
            };
            assert_eq!(t.c.phase(), next, "{name} in {phase:?}");
            let reported = t.c.take_events().contains(Events::CLOSED);
            let leaves_time_wait = (phase, name) == (TimeWait, "abort");
            let ended = t.c.phase().is_last() && (!phase.is_last() || leaves_time_wait);
            assert_eq!(reported, ended, "CLOSED of {name} in {phase:?}");
            assert_eq!(t.c.close_reason().is_some(), t.c.phase().is_last());
            t.sent();
        }
    }
}

#[test]
fn every_event_in_every_phase_is_harmless_at_the_wrap_of_sequence_numbers() {
    for iss in [u32::MAX - 1, u32::MAX, 0x7fff_ffff, 0x8000_0000] {
        for (_, first) in EVENTS {
            for (_, second) in EVENTS {
                let mut t = Script::open_at(plain(), iss, iss.wrapping_add(1));
                t.sends_syn();
                t.gets(syn().ack(1));
                first(&mut t);
                t.sent();
                second(&mut t);
                t.sent();
                t.after_ms(10_000).sent();
            }
        }
    }
    assert!(SeqNum(u32::MAX).before(SeqNum(0)));
}
