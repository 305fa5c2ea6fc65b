//! Flights of segments to a peer that permits SACK, on a path whose round trip is 100 ms: where the scripts of
//! loss recovery begin.

use core::ops::Range;

use super::script::plain;
use super::{Script, ack, syn};
use crate::tcp::Settings;
use crate::tcp::flight::Flight;

/// The round trip.
pub(super) const RTT_MS: u64 = 100;

/// ESTABLISHED, with one round trip measured.
pub(super) fn opened(settings: Settings) -> Script {
    let stamped = settings.timestamps;
    let mut t = Script::open(settings);
    let offered = t.sends_syn().options.timestamps.map_or(0, |stamps| stamps.value);
    let mut answer = syn().ack(1).mss(1000).permits_sack();
    if stamped {
        answer = answer.stamp(1, offered);
    }
    t.after_ms(RTT_MS).gets(answer);
    t.sent();
    t.events();
    t.c.rcv.quick = 0;
    t
}

/// `n` segments of 1000 bytes in flight.
pub(super) fn in_flight(n: u32) -> Script {
    in_flight_with(plain(), n)
}

/// The same with other settings. Segments with timestamps carry 988 bytes: give the MSS for it.
pub(super) fn in_flight_with(settings: Settings, n: u32) -> Script {
    let mut t = opened(settings).write(n * 1000);
    assert_eq!(t.sent().len() as u32, n);
    t
}

/// With timestamps: segments of 1000 bytes all the same.
pub(super) fn stamped() -> Settings {
    Settings { timestamps: true, ..plain() }
}

/// `n` segments of 988 bytes with timestamps, after one that is acknowledged, and the TSval of the flight.
pub(super) fn stamped_flight(n: u32) -> (Script, u32) {
    let mut t = opened(stamped()).write(n * 988);
    let sent = t.sent();
    assert_eq!(sent.len() as u32, n);
    let value = sent[0].options.timestamps.map_or(0, |stamps| stamps.value);
    (t, value)
}

/// From the first byte of segment `n` of such a flight to the first byte after segment `m`.
pub(super) fn stamped_segments(n: u32, m: u32) -> Range<u32> {
    1 + (n - 1) * 988..1 + m * 988
}

/// `n` segments in flight behind a first one that the peer has acknowledged.
pub(super) fn after_the_first(n: u32) -> Script {
    let mut t = in_flight(1);
    t.after_ms(RTT_MS).gets(ack(1001));
    t = t.write(n * 1000);
    assert_eq!(t.sent().len() as u32, n);
    t
}

/// From the first byte of segment `n` (1 is the first) to the first byte after segment `m`.
pub(super) fn segments(n: u32, m: u32) -> Range<u32> {
    1 + (n - 1) * 1000..1 + m * 1000
}

pub(super) fn flight(t: &Script) -> &Flight {
    t.c.recovery.flight.as_deref().expect("something is in flight")
}

/// Reductions taken back.
pub(super) fn undone(t: &Script) -> u32 {
    t.c.recovery.flight.as_deref().map_or(0, |flight| flight.counts.undone)
}

/// Timeouts since something was acknowledged.
pub(super) fn timeouts(t: &Script) -> u8 {
    t.c.timeouts()
}

pub(super) fn cwnd(t: &Script) -> u32 {
    t.c.recovery.controller.cwnd()
}

pub(super) fn ssthresh(t: &Script) -> u32 {
    t.c.recovery.controller.ssthresh()
}
