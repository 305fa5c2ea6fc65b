//! Path properties in four bytes: the windowed minimum RTT (RFC 8985 §6.2 step 1), and a flag for a
//! peer that delays its ACKs.

use crate::time::Instant;

/// Lifetime of the minimum RTT, in units of 2^16 ms: five and a half minutes, since paths change. A
/// shorter window takes our own queue for the path; a longer one takes a longer path for
/// reordering.
const WINDOW: u32 = 5;

/// Mask of the minimum RTT in microseconds, up to 16 seconds; 0 before the first sample.
const RTT: u32 = (1 << 24) - 1;

/// Mask of its time, in units of 2^16 ms, modulo 2^7.
const AT: u32 = (1 << 7) - 1;

/// Bit position of the time.
const AT_SHIFT: u32 = 24;

/// Flag: the peer was seen to delay ACKs for longer than the probe timeout.
const HOLDS_ACKS: u32 = 1 << 31;

/// Packed properties of a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Path(u32);

impl Path {
    /// Updates RACK.min_RTT with a sample:
    ///   > The sender SHOULD track a windowed min-filtered estimate of recent RTT measurements that
    ///   > can adapt when migrating to significantly longer paths
    #[inline]
    pub(in crate::tcp) fn on_rtt(&mut self, rtt_us: u32, now: Instant) {
        let at = (now.as_millis() >> 16) as u32 & AT;
        let stale = at.wrapping_sub(self.0 >> AT_SHIFT) & AT > WINDOW;
        let known = self.min_rtt_us();
        if known == 0 || rtt_us <= known || stale {
            self.0 = self.0 & HOLDS_ACKS | at << AT_SHIFT | rtt_us.clamp(1, RTT);
        }
    }

    /// Returns RACK.min_RTT in microseconds; 0 before the first sample.
    #[inline]
    pub(in crate::tcp) const fn min_rtt_us(self) -> u32 {
        self.0 & RTT
    }

    /// Returns true if the peer delays ACKs.
    pub(in crate::tcp) const fn holds_acks(self) -> bool {
        self.0 & HOLDS_ACKS != 0
    }

    /// Sets the flag after a spurious probe; clears it after a probe that repaired a loss.
    pub(in crate::tcp) const fn set_holds_acks(&mut self, holds: bool) {
        self.0 = self.0 & !HOLDS_ACKS | if holds { HOLDS_ACKS } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: &[(u32, u64)]) -> Path {
        let mut path = Path::default();
        for &(us, at_ms) in samples {
            path.on_rtt(us, Instant::from_millis(at_ms));
        }
        path
    }

    #[test]
    fn the_minimum_round_trip_covers_the_last_minutes() {
        // RFC 8985 §6.2 step 1: "rather than tracking a simple global minimum of all RTT
        // measurements".
        let least = |samples| after(samples).min_rtt_us();
        assert_eq!(least(&[]), 0);
        assert_eq!(least(&[(900, 0), (300, 1), (700, 2)]), 300);
        assert_eq!(least(&[(300, 0), (700, 200_000)]), 300);
        assert_eq!(least(&[(300, 0), (700, 400_000)]), 700, "the path became longer");
        assert_eq!(least(&[(300, 8_000_000), (700, 8_500_000)]), 700, "the clock went round");
        assert_eq!(least(&[(0, 0)]), 1, "too short to be measured, and measured");
        assert_eq!(least(&[(u32::MAX, 0)]), RTT);
    }

    #[test]
    fn a_peer_that_holds_acks_back_is_known_whatever_the_round_trip() {
        let mut path = after(&[(900, 5_000_000)]);
        path.set_holds_acks(true);
        path.on_rtt(300, Instant::from_millis(6_000_000));
        assert_eq!((path.min_rtt_us(), path.holds_acks()), (300, true));
        path.set_holds_acks(false);
        assert_eq!((path.min_rtt_us(), path.holds_acks()), (300, false));
        assert_eq!(size_of::<Path>(), 4);
    }
}
