//! The clock of the process: `CLOCK_MONOTONIC`, counted from the first reading. A worker reads it
//! once per turn, after it has read the RX ring (29 ns on a machine without a fast TSC read, shared
//! by a batch), and again after it has slept or yielded.

use std::sync::OnceLock;
use std::time::Instant as StdInstant;

use nix::time::{ClockId, clock_gettime};

use crate::time::Instant;

/// Reading of the clock at its origin: one second, so that a time shortly before it can be
/// expressed.
const BEGIN_NS: u64 = 1_000_000_000;

/// Reads the time since the first reading of the process. All workers share the origin, so that
/// their timestamps and captures agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: StdInstant,
    /// The origin by `CLOCK_MONOTONIC`, nanoseconds.
    origin_monotonic: u64,
}

impl Clock {
    /// Returns the process's clock.
    pub fn new() -> Self {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(|| {
            let origin = StdInstant::now();
            // Read after `origin`, so that no timestamp of the kernel seems to be from the future.
            let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from);
            let origin_monotonic = monotonic.unwrap_or_default().as_nanos() as u64;
            Self { origin, origin_monotonic }
        })
    }

    /// Reads the clock.
    pub fn now(&self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos() as u64;
        Instant::from_nanos(BEGIN_NS + nanos)
    }

    /// Converts `at` to `CLOCK_MONOTONIC`, the clock of the kernel's timestamps, nanoseconds.
    pub const fn monotonic(&self, at: Instant) -> u64 {
        (self.origin_monotonic + at.as_nanos()).saturating_sub(BEGIN_NS)
    }

    /// Returns the Unix time of [`Instant::ZERO`], for captures.
    pub fn unix_origin(&self) -> std::time::Duration {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let since = std::time::Duration::from_nanos(self.now().as_nanos());
        unix.unwrap_or_default().saturating_sub(since)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_agrees_with_the_kernels() {
        let clock = Clock::new();
        let kernels = || {
            let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
            std::time::Duration::from(now).as_nanos() as u64
        };
        let before = kernels();
        let between = clock.monotonic(clock.now());
        let after = kernels();
        // The two readings of the origin differ by the time that the thread was preempted between
        // them.
        assert!(between >= before && between < after + 1_000_000_000, "{before} {between} {after}");
    }

    #[test]
    fn two_clocks_of_a_process_agree() {
        let (a, b) = (Clock::new(), Clock::new());
        let first = a.now();
        assert!(b.now() >= first);
        assert!(a.now() >= first);
    }
}
