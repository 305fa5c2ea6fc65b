//! When to kick the device, how often, and when to try again.
//!
//! A kick carries no guarantee: one call sends 32 descriptors where the kernel knows no larger budget,
//! stops at a full send buffer or queueing discipline, and a driver may sleep through it. So a flush
//! kicks as long as that makes progress, and what is left is tried again at a deadline that backs off.
//! Knows nothing of rings and system calls: both come in through [`Ring`].

use crate::time::{Duration, Instant};

/// What the kernel said to a kick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Answer {
    /// It did what it could.
    Done,
    /// It stopped half-way; ask again.
    Again,
    /// The interface is down or gone.
    Down,
    /// Anything else, which asking again does not heal.
    Refused,
}

/// The tx ring as far as kicking needs it.
pub(super) trait Ring {
    /// Descriptors that the kernel has not yet taken.
    fn queued(&mut self) -> usize;
    /// Descriptors taken and not yet completed, and those queued.
    fn outstanding(&self) -> usize;
    /// Whether the kernel wants to be called.
    fn needs_kick(&self) -> bool;
    /// The call.
    fn kick(&mut self) -> Answer;
    /// Takes completions back.
    fn reap(&mut self);
}

/// The first retry comes soon: it costs one call, and a stalled tail costs a retransmission timeout.
const BACKOFF_MIN: Duration = Duration::from_micros(50);
/// While descriptors wait, never later than a fraction of the smallest retransmission timeout.
const BACKOFF_QUEUED_MAX: Duration = Duration::from_millis(5);
/// With nothing but completions to collect there is no hurry: only frames are short meanwhile.
const BACKOFF_MAX: Duration = Duration::from_millis(200);

/// Descriptors that any kernel takes with one call (TX_BATCH_SIZE).
const BATCH_MIN: usize = 32;

/// How kicking goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kicker {
    retry_at: Option<Instant>,
    backoff: Duration,
    /// Calls made.
    pub calls: u64,
    /// Calls that the kernel answered with "again".
    pub again: u64,
    /// Whether the last call found the interface down.
    pub down: bool,
}

impl Kicker {
    /// When the tail wants to be looked at again.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Kicks if `fresh` descriptors were queued since the last time, or an unfinished kick is due, and
    /// arms the next try.
    pub(super) fn flush(&mut self, now: Instant, fresh: bool, ring: &mut impl Ring) {
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
    pub(super) fn kick(&mut self, ring: &mut impl Ring) {
        let mut queued = ring.queued();
        for _ in 0..queued / BATCH_MIN + 2 {
            if queued == 0 || !ring.needs_kick() {
                break;
            }
            self.calls += 1;
            let answer = ring.kick();
            ring.reap();
            self.down = answer == Answer::Down;
            if answer != Answer::Again {
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

    fn arm(&mut self, now: Instant, ring: &mut impl Ring) {
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

    /// A device that takes `budget` descriptors a call and completes `completes` of them at once.
    struct Fake {
        queued: usize,
        taken: usize,
        budget: usize,
        completes: bool,
        says: Option<Answer>,
    }

    impl Fake {
        fn with(queued: usize, budget: usize) -> Self {
            Self { queued, taken: 0, budget, completes: true, says: None }
        }
    }

    impl Ring for Fake {
        fn queued(&mut self) -> usize {
            self.queued
        }
        fn outstanding(&self) -> usize {
            self.queued + self.taken
        }
        fn needs_kick(&self) -> bool {
            true
        }
        fn kick(&mut self) -> Answer {
            let taken = self.queued.min(self.budget);
            self.queued -= taken;
            self.taken += taken;
            self.says.unwrap_or(if self.queued > 0 { Answer::Again } else { Answer::Done })
        }
        fn reap(&mut self) {
            if self.completes {
                self.taken = 0;
            }
        }
    }

    const NOW: Instant = Instant::ZERO;

    #[test]
    fn a_budget_of_32_is_asked_again_within_the_same_flush() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(200, 32));
        kicker.flush(NOW, true, &mut ring);
        assert_eq!((ring.queued, kicker.calls, kicker.again), (0, 7, 6));
        assert_eq!(kicker.deadline(), None);
    }

    #[test]
    fn a_kernel_that_makes_no_progress_is_not_asked_in_a_loop() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(200, 0));
        kicker.flush(NOW, true, &mut ring);
        assert_eq!(kicker.calls, 1);
        assert_eq!(kicker.deadline(), Some(NOW + BACKOFF_MIN));
        kicker.flush(NOW, false, &mut ring);
        assert_eq!(kicker.calls, 1, "before the deadline nothing is tried");
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
        ring.says = Some(Answer::Done);
        let at = kicker.deadline().unwrap();
        kicker.flush(at, false, &mut ring);
        assert_eq!(kicker.deadline(), Some(at + BACKOFF_MIN));
        kicker.flush(at + BACKOFF_MIN, false, &mut ring);
        assert_eq!((kicker.deadline(), ring.outstanding()), (None, 0));
    }

    #[test]
    fn missing_completions_alone_are_waited_for_without_hurry() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(10, 32));
        ring.completes = false;
        kicker.flush(NOW, true, &mut ring);
        let mut last = NOW;
        for _ in 0..20 {
            last = kicker.deadline().unwrap();
            kicker.flush(last, false, &mut ring);
        }
        assert_eq!(kicker.deadline(), Some(last + BACKOFF_MAX));
        assert_eq!(kicker.calls, 1, "the ring is empty: there is nothing to kick for");
        ring.taken = 0;
        kicker.flush(last, false, &mut ring);
        assert_eq!(kicker.deadline(), None);
    }

    #[test]
    fn an_interface_that_goes_down_is_told_and_comes_back() {
        let (mut kicker, mut ring) = (Kicker::default(), Fake::with(10, 0));
        ring.says = Some(Answer::Down);
        kicker.flush(NOW, true, &mut ring);
        assert!(kicker.down && kicker.deadline().is_some());
        (ring.says, ring.budget) = (None, 32);
        kicker.flush(kicker.deadline().unwrap(), false, &mut ring);
        assert!(!kicker.down && kicker.deadline().is_none());
    }
}
