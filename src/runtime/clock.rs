//! The one clock of a process: `CLOCK_MONOTONIC`, from the first reading on. A worker reads it once a turn,
//! after it took the frames (29 ns on a machine without a fast TSC read, which a batch shares), and once more after it let
//! others run.

use std::sync::OnceLock;
use std::time::Instant as StdInstant;

use crate::time::Instant;

/// Reads the time since the process first asked for it. All workers share the origin, so that their
/// timestamps and captures agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: StdInstant,
}

impl Clock {
    /// The process's clock.
    pub fn new() -> Self {
        static ORIGIN: OnceLock<StdInstant> = OnceLock::new();
        Self { origin: *ORIGIN.get_or_init(StdInstant::now) }
    }

    /// Now. Starts at one second, so that "a while ago" can always be expressed.
    pub fn now(&self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos() as u64;
        Instant::from_nanos(1_000_000_000 + nanos)
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
    fn two_clocks_of_a_process_agree() {
        let (a, b) = (Clock::new(), Clock::new());
        let first = a.now();
        assert!(b.now() >= first);
        assert!(a.now() >= first);
    }
}
