//! The one clock of a process: `CLOCK_MONOTONIC`, from the first reading on. A worker reads it once a turn,
//! after it took the frames (29 ns on a machine without a fast TSC read, which a batch shares), and once more after it let
//! others run.

use std::sync::OnceLock;
use std::time::Instant as StdInstant;

use nix::time::{ClockId, clock_gettime};

use crate::time::Instant;

/// What the clock shows at its origin: one second, so that "a while ago" can always be expressed.
const BEGIN_NS: u64 = 1_000_000_000;

/// Reads the time since the process first asked for it. All workers share the origin, so that their
/// timestamps and captures agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: StdInstant,
    /// The same by `CLOCK_MONOTONIC`, nanoseconds.
    origin_monotonic: u64,
}

impl Clock {
    /// The process's clock.
    pub fn new() -> Self {
        static CLOCK: OnceLock<Clock> = OnceLock::new();
        *CLOCK.get_or_init(|| {
            let origin = StdInstant::now();
            // Read after it, so that nothing that the kernel stamps seems to come from the future.
            let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from);
            let origin_monotonic = monotonic.unwrap_or_default().as_nanos() as u64;
            Self { origin, origin_monotonic }
        })
    }

    /// Now.
    pub fn now(&self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos() as u64;
        Instant::from_nanos(BEGIN_NS + nanos)
    }

    /// `at` by `CLOCK_MONOTONIC`, nanoseconds: the clock of the kernel's stamps.
    pub const fn monotonic(&self, at: Instant) -> u64 {
        (self.origin_monotonic + at.as_nanos()).saturating_sub(BEGIN_NS)
    }

    /// The Unix time of [`Instant::ZERO`], for captures.
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
    fn it_tells_what_the_kernels_clock_shows() {
        let clock = Clock::new();
        let kernels = || {
            let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
            std::time::Duration::from(now).as_nanos() as u64
        };
        let before = kernels();
        let between = clock.monotonic(clock.now());
        let after = kernels();
        // The origin was read twice; whoever was kept from a core between the two reads is off by that.
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
