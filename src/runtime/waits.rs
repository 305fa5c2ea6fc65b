//! How long frames waited between their arrival and the turn that takes them up.
//!
//! Owns the counting of it, where it is asked for. The times are the XDP program's or, where they are of the system's
//! clock, the driver's: the program compares the two (bpf/linerate.bpf.c, `ask`).

use super::clock::Clock;
use crate::link::Metadata;
use crate::metrics::Latencies;
use crate::time::Instant;

/// The waits of one worker's frames.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) spread: Latencies,
}

/// What the frames of one turn told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Times that were the driver's.
    pub(super) by_driver: u64,
    /// Times of the driver that were of another clock.
    pub(super) foreign: u64,
}

impl Waits {
    /// Counts the frames of a turn that began at `now`.
    pub(super) fn record(&mut self, clock: &Clock, now: Instant, frames: &[Metadata]) -> Told {
        let now = clock.monotonic(now);
        let mut told = Told::default();
        for stamp in frames.iter().filter_map(|metadata| metadata.stamp) {
            self.spread.record(now.saturating_sub(stamp.nanos));
            told.by_driver += u64::from(stamp.by_driver);
            told.foreign += u64::from(stamp.driver_is_foreign);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Stamp;

    #[test]
    fn a_wait_is_what_passed_since_the_stamp_and_foreign_clocks_are_counted() {
        let clock = Clock::new();
        let now = clock.now();
        let stamp = |back, by_driver, driver_is_foreign| Metadata {
            stamp: Some(Stamp { nanos: clock.monotonic(now) - back, by_driver, driver_is_foreign }),
            hash: None,
        };
        let frames = [
            stamp(5, true, false),
            stamp(9, false, true),
            stamp(9, false, false),
            Metadata::default(),
        ];
        let mut waits = Waits::default();
        assert_eq!(waits.record(&clock, now, &frames), Told { by_driver: 1, foreign: 1 });
        assert_eq!(waits.spread.entries().collect::<Vec<_>>(), [(5, 1), (9, 2)]);
    }
}
