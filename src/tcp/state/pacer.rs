//! The pacer: the time at which the next segment may leave. Part of the rare state.

use crate::tcp::congestion::send_quantum;
use crate::time::{Duration, Instant};

/// Maximum timer lateness that is compensated: data that waited for the timer keeps its rate, with
/// a burst if needed. Covers a time slice of another task. With less, each late timer costs the
/// flow throughput, which a model of the path mistakes for the path's rate; with more, the burst
/// defeats pacing, though cwnd bounds it.
const LATENESS_MAX: Duration = Duration::from_millis(10);

/// The pacer of one connection.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Pacer {
    /// C.next_send_time of draft-ietf-ccwg-bbr §5.6.2.
    pub(in crate::tcp) next_at: Instant,
    /// True if data waits for `next_at`.
    pub(in crate::tcp) holds: bool,
    /// Time at which waiting data was last released.
    pub(in crate::tcp) released_at: Instant,
    /// The program's limit, bytes per second.
    pub(in crate::tcp) rate_max: Option<u64>,
}

impl Default for Pacer {
    fn default() -> Self {
        Self { next_at: Instant::ZERO, holds: false, released_at: Instant::ZERO, rate_max: None }
    }
}

fn span(bytes: u32, rate: u64) -> Duration {
    Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / rate.max(1))
}

impl Pacer {
    /// Records a segment of `len` bytes sent at `rate` bytes per second. Compensates for the
    /// lateness of a timer; idle time earns one quantum at most.
    pub(in crate::tcp) fn on_sent(&mut self, now: Instant, len: u32, rate: u64, smss: u32) {
        let waited = self.released_at == now;
        let missed = if waited { LATENESS_MAX } else { span(send_quantum(rate, smss), rate) };
        let earliest = Instant::from_nanos(now.as_nanos().saturating_sub(missed.as_nanos()));
        self.next_at = self.next_at.max(earliest) + span(len, rate);
        self.holds = self.next_at > now;
    }

    pub(in crate::tcp) fn release(&mut self, now: Instant) {
        if self.holds && self.next_at <= now {
            self.holds = false;
            self.released_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns when each of `count` segments of 1000 bytes may leave at 1 MB/s, from a pacer that
    /// is polled `late` late.
    fn times(count: usize, late: Duration) -> Vec<u64> {
        let mut pacer = Pacer::default();
        let mut now = Instant::from_millis(1000);
        let mut times = Vec::new();
        for _ in 0..count {
            if pacer.holds {
                now = pacer.next_at + late;
                pacer.release(now);
            }
            assert!(!pacer.holds);
            times.push(now.since(Instant::from_millis(1000)).as_micros());
            pacer.on_sent(now, 1000, 1_000_000, 1000);
        }
        times
    }

    #[test]
    fn segments_leave_at_the_rate_after_one_quantum() {
        // Two segments are the quantum: draft-ietf-ccwg-bbr §5.6.3.
        assert_eq!(times(6, Duration::ZERO), [0, 0, 0, 1000, 2000, 3000]);
    }

    #[test]
    fn a_late_timer_does_not_lower_the_rate() {
        // 4 ms is the time slice that a scheduler gives another task.
        for late_us in [700, 4_000] {
            let times = times(1000, Duration::from_micros(late_us));
            let last = *times.last().expect("some");
            assert!((994_000..1_003_000).contains(&last), "{late_us}: {last}");
        }
    }

    #[test]
    fn idle_time_is_not_compensated() {
        let mut pacer = Pacer::default();
        let sent = |pacer: &mut Pacer, ms| {
            let now = Instant::from_millis(ms);
            pacer.release(now);
            let mut burst = 0;
            while !pacer.holds {
                pacer.on_sent(now, 1000, 1_000_000, 1000);
                burst += 1;
            }
            burst
        };
        assert_eq!(
            sent(&mut pacer, 1000),
            3,
            "a quantum of two, and the one that finds it used up"
        );
        // Nothing is left to send when the last segment may leave, and data arrives later.
        pacer.release(Instant::from_millis(1001));
        assert_eq!(sent(&mut pacer, 1100), 3);
        // Data waits, longer than any timer is late.
        assert_eq!(sent(&mut pacer, 1200), 11);
    }
}
