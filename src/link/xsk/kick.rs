//! TX kicks: when, how often, and when to retry.
//!
//! A kick carries no guarantee. One call sends 32 descriptors if the kernel has no larger budget,
//! stops at a full send buffer or queueing discipline, and a driver may miss it. So a flush kicks
//! as long as that makes progress, and the rest is retried at a deadline that backs off. Knows
//! nothing about rings and system calls; both come in through [`TxRing`].

use crate::time::{Duration, Instant};

/// Kernel's result of a kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum KickResult {
    /// The kernel processed what it could.
    Done,
    /// The kernel stopped early; kick again.
    Again,
    /// The interface is down or gone.
    Down,
    /// Any other error, which a retry does not fix.
    Refused,
}

/// The TX ring as far as kicking needs it.
pub(super) trait TxRing {
    /// Returns the number of descriptors that the kernel has not consumed.
    fn queued(&mut self) -> usize;
    /// Returns the number of descriptors queued, or consumed but not completed.
    fn outstanding(&self) -> usize;
    /// Returns true if the kernel needs a kick.
    fn needs_kick(&self) -> bool;
    /// Kicks the kernel.
    fn kick(&mut self) -> KickResult;
    /// Reaps completions.
    fn reap(&mut self);
}

/// The first retry comes soon: it costs one call, while a stalled tail costs a retransmission
/// timeout.
const BACKOFF_MIN: Duration = Duration::from_micros(50);
/// Upper bound while descriptors are queued: a fraction of the smallest retransmission timeout.
const BACKOFF_QUEUED_MAX: Duration = Duration::from_millis(5);
/// Upper bound while only completions are outstanding: less urgent, since only frames are scarce.
const BACKOFF_MAX: Duration = Duration::from_millis(200);

/// Descriptors that every kernel consumes per call (TX_BATCH_SIZE).
const BATCH_MIN: usize = 32;

/// State of kicking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kicker {
    retry_at: Option<Instant>,
    backoff: Duration,
    /// Number of kicks.
    pub calls: u64,
    /// Number of kicks for which the kernel returned a transient error.
    pub again: u64,
    /// The last kick found the interface down.
    pub down: bool,
}

impl Kicker {
    /// Returns the time of the next retry.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Kicks if `fresh` descriptors were queued since the last flush or a retry is due, and
    /// schedules the next retry.
    pub(super) fn flush(&mut self, now: Instant, fresh: bool, ring: &mut impl TxRing) {
        let due = self.retry_at.is_some_and(|at| at <= now);
        if !fresh && !due {
            if self.retry_at.is_some() && ring.outstanding() == 0 {
                self.retry_at = None;
            }
            return;
        }
        let before = ring.outstanding();
        self.kick(ring);
        if fresh || ring.outstanding() < before {
            self.backoff = Duration::ZERO;
        }
        self.arm(now, ring);
    }

    /// Kicks without waiting for the flush.
    pub(super) fn kick(&mut self, ring: &mut impl TxRing) {
        let mut queued = ring.queued();
        for _ in 0..queued / BATCH_MIN + 2 {
            if queued == 0 || !ring.needs_kick() {
                break;
            }
            self.calls += 1;
            let result = ring.kick();
            ring.reap();
            self.down = result == KickResult::Down;
            if result != KickResult::Again {
                break;
            }
            self.again += 1;
            let left = ring.queued();
            if left >= queued {
                break;
            }
            queued = left;
        }
    }

    fn arm(&mut self, now: Instant, ring: &mut impl TxRing) {
        if ring.outstanding() == 0 {
            self.retry_at = None;
            return;
        }
        let most = if ring.queued() > 0 { BACKOFF_QUEUED_MAX } else { BACKOFF_MAX };
        self.backoff = self.backoff.times(2).clamp(BACKOFF_MIN, most);
        self.retry_at = Some(now + self.backoff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that consumes `budget` descriptors per call, and completes them at once if
    /// `completes`.
    struct Fake {
        queued: usize,
        consumed: usize,
        budget: usize,
        completes: bool,
        result: Option<KickResult>,
    }

    impl Fake {
        fn with(queued: usize, budget: usize) -> Self {
            Self { queued, consumed: 0, budget, completes: true, result: None }
        }
    }

    impl TxRing for Fake {
        fn queued(&mut self) -> usize {
            self.queued
        }
        fn outstanding(&self) -> usize {
            self.queued + self.consumed
        }
        fn needs_kick(&self) -> bool {
            true
        }
        fn kick(&mut self) -> KickResult {
            let consumed = self.queued.min(self.budget);
            self.queued -= consumed;
            self.consumed += consumed;
            self.result.unwrap_or(if self.queued > 0 {
                KickResult::Again
            } else {
                KickResult::Done
            })
        }
        fn reap(&mut self) {
            if self.completes {
                self.consumed = 0;
            }
        }
    }

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn a_budget_of_32_is_kicked_repeatedly_within_one_flush() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(200, 32));
        kicker.flush(NOW, true, &mut ring);
        assert_eq!((ring.queued, kicker.calls, kicker.again), (0, 7, 6));
        assert_eq!(kicker.deadline(), None);
    }

    #[test]
    fn a_kernel_that_makes_no_progress_is_not_kicked_in_a_loop() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(200, 0));
        kicker.flush(NOW, true, &mut ring);
        assert_eq!(kicker.calls, 1);
        assert_eq!(kicker.deadline(), Some(NOW + BACKOFF_MIN));
        kicker.flush(NOW, false, &mut ring);
        assert_eq!(kicker.calls, 1, "no kick before the deadline");
    }

    #[test]
    fn retries_back_off_and_the_first_progress_resets_them() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(100, 0));
        kicker.flush(NOW, true, &mut ring);
        let mut waits = Vec::new();
        for _ in 0..10 {
            let at = kicker.deadline().unwrap();
            kicker.flush(at, false, &mut ring);
            waits.push(kicker.deadline().unwrap().since(at));
        }
        assert_eq!(waits[..3], [100, 200, 400].map(Duration::from_micros));
        assert_eq!(waits.last(), Some(&BACKOFF_QUEUED_MAX));
        ring.budget = 50;
        ring.result = Some(KickResult::Done);
        let at = kicker.deadline().unwrap();
        kicker.flush(at, false, &mut ring);
        assert_eq!(kicker.deadline(), Some(at + BACKOFF_MIN));
        kicker.flush(at + BACKOFF_MIN, false, &mut ring);
        assert_eq!((kicker.deadline(), ring.outstanding()), (None, 0));
    }

    #[test]
    fn outstanding_completions_alone_back_off_further() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(10, 32));
        ring.completes = false;
        kicker.flush(NOW, true, &mut ring);
        let mut last = NOW;
        for _ in 0..20 {
            last = kicker.deadline().unwrap();
            kicker.flush(last, false, &mut ring);
        }
        assert_eq!(kicker.deadline(), Some(last + BACKOFF_MAX));
        assert_eq!(kicker.calls, 1, "an empty ring needs no kick");
        ring.consumed = 0;
        kicker.flush(last, false, &mut ring);
        assert_eq!(kicker.deadline(), None);
    }

    #[test]
    fn an_interface_that_goes_down_is_reported_and_recovers() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(10, 0));
        ring.result = Some(KickResult::Down);
        kicker.flush(NOW, true, &mut ring);
        assert!(kicker.down && kicker.deadline().is_some());
        (ring.result, ring.budget) = (None, 32);
        kicker.flush(kicker.deadline().unwrap(), false, &mut ring);
        assert!(!kicker.down && kicker.deadline().is_none());
    }
}
