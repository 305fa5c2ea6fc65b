//! Measures the time from the arrival of a frame to the turn that processes it.
//!
//! The timestamps are the driver's if they are from the system's clock, else the XDP program's: the
//! program compares the two (bpf/linerate.bpf.c, `ask`).

use super::clock::Clock;
use crate::link::Metadata;
use crate::metrics::Latencies;
use crate::time::Instant;

/// The waiting times of one worker's frames.
#[derive(Debug, Default)]
pub(super) struct Waits {
    pub(super) spread: Latencies,
}

/// The sources of the timestamps in one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StampSources {
    /// Timestamps of the driver.
    pub(super) by_driver: u64,
    /// Timestamps of the driver that were rejected, being from another clock.
    pub(super) foreign: u64,
}

impl Waits {
    /// Records the frames of a turn that began at `now`.
    pub(super) fn record(
        &mut self,
        clock: &Clock,
        now: Instant,
        frames: &[Metadata],
    ) -> StampSources {
        let now = clock.monotonic(now);
        let mut sources = StampSources::default();
        for stamp in frames.iter().filter_map(|metadata| metadata.stamp) {
            self.spread.record(now.saturating_sub(stamp.nanos));
            sources.by_driver += u64::from(stamp.by_driver);
            sources.foreign += u64::from(stamp.driver_is_foreign);
        }
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Stamp;

    #[test]
    fn a_wait_is_the_time_since_the_timestamp_and_foreign_clocks_are_counted() {
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
        assert_eq!(waits.record(&clock, now, &frames), StampSources { by_driver: 1, foreign: 1 });
        assert_eq!(waits.spread.entries().collect::<Vec<_>>(), [(5, 1), (9, 2)]);
    }
}
