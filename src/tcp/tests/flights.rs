//! Flights of segments to a peer that permits SACK, on a path with a round trip of 100 ms: the
//! starting point of the loss recovery scripts.

use core::ops::Range;

use super::script::plain;
use super::{Script, ack, syn};
use crate::tcp::Settings;
use crate::tcp::flight::Flight;

/// The round trip.
pub(super) const RTT_MS: u64 = 100;

/// Returns a connection in ESTABLISHED with one round trip measured.
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

/// Returns `n` segments of 1000 bytes in flight.
pub(super) fn in_flight(n: u32) -> Script {
    in_flight_with(plain(), n)
}

/// Like [`in_flight`] with other settings. Segments with timestamps carry 988 bytes: set the MSS
/// for it.
pub(super) fn in_flight_with(settings: Settings, n: u32) -> Script {
    let mut t = opened(settings).write(n * 1000);
    assert_eq!(t.sent().len() as u32, n);
    t
}

/// Returns settings with timestamps and segments of 1000 bytes.
pub(super) fn stamped() -> Settings {
    Settings { timestamps: true, ..plain() }
}

/// Returns `n` segments of 988 bytes in flight with timestamps, after an acknowledged one, and the
/// TSval of the flight.
pub(super) fn stamped_flight(n: u32) -> (Script, u32) {
    let mut t = opened(stamped()).write(n * 988);
    let sent = t.sent();
    assert_eq!(sent.len() as u32, n);
    let value = sent[0].options.timestamps.map_or(0, |stamps| stamps.value);
    (t, value)
}

/// Returns the range from the first byte of segment `n` of such a flight to the end of segment `m`.
pub(super) fn stamped_segments(n: u32, m: u32) -> Range<u32> {
    1 + (n - 1) * 988..1 + m * 988
}

/// Returns `n` segments in flight behind a first one that is acknowledged.
pub(super) fn after_the_first(n: u32) -> Script {
    let mut t = in_flight(1);
    t.after_ms(RTT_MS).gets(ack(1001));
    t = t.write(n * 1000);
    assert_eq!(t.sent().len() as u32, n);
    t
}

/// Returns the range from the first byte of segment `n` (counted from 1) to the end of segment `m`.
pub(super) fn segments(n: u32, m: u32) -> Range<u32> {
    1 + (n - 1) * 1000..1 + m * 1000
}

pub(super) fn flight(t: &Script) -> &Flight {
    t.c.recovery.flight.as_deref().expect("something is in flight")
}

/// Returns the number of undone reductions.
pub(super) fn undone(t: &Script) -> u32 {
    t.c.recovery.flight.as_deref().map_or(0, |flight| flight.counts.undone)
}

/// Returns the number of timeouts since the last acknowledgment.
pub(super) fn timeouts(t: &Script) -> u8 {
    t.c.timeouts()
}

pub(super) fn cwnd(t: &Script) -> u32 {
    t.c.recovery.controller.cwnd()
}

pub(super) fn ssthresh(t: &Script) -> u32 {
    t.c.recovery.controller.ssthresh()
}
