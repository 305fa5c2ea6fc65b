//! The idle policy: spin or sleep after a turn without work.

use crate::time::{Duration, Instant};

/// The behaviour of a worker after a turn without work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdlePolicy {
    /// Never sleeps: uses a whole core, and sees a frame the moment it arrives.
    Spin,
    /// Spins for a short while, then sleeps on the socket until a frame, a deadline or a command.
    /// While another program competes for the core it behaves like [`Sleep`](Self::Sleep).
    #[default]
    Adaptive,
    /// Sleeps on the socket after every turn without work: for workers that share a core with each
    /// other or with their peers, which a spinning worker would keep from running.
    Sleep,
}

/// Time that an adaptive worker spins before it sleeps. If it is shorter, a ping-pong with a round
/// trip of some tens of microseconds costs a wake-up (up to 100 µs on a virtual machine) each time;
/// if it is longer, an idle worker wastes its core.
const SPIN_MAX: Duration = Duration::from_micros(200);

/// Longest sleep, so that counters are published and a lost wake-up delays little.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// A yield that lasts this long gave a time slice, some milliseconds, to another program. A yield
/// to none takes a microsecond, and one to the kernel's half of a virtual link less than this.
const SLICE_MIN: Duration = Duration::from_micros(500);

/// Time for which a core counts as shared after such a yield. The scheduler treats a yield as a
/// forgone slice: a worker that yields between packets runs once per slice of the others, some
/// milliseconds late, while one that sleeps is woken at once, since it has used little of its
/// share. If this is shorter, each attempt to spin again costs a slice; if it is longer, a core
/// that is free again costs wake-ups.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// The state of the policy: when the worker last had work, and until when the core counts as
/// shared.
#[derive(Debug)]
pub(super) struct Idle {
    policy: IdlePolicy,
    busy_at: Instant,
    shared_until: Instant,
}

/// The rest before the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Rest {
    /// Starts the next turn at once.
    No,
    /// Sleeps for at most this long.
    Sleep(Duration),
}

impl Idle {
    pub(super) const fn new(policy: IdlePolicy, now: Instant) -> Self {
        Self { policy, busy_at: now, shared_until: Instant::ZERO }
    }

    /// Records a yield of the core from `from` to `now`.
    pub(super) fn after_yield(&mut self, from: Instant, now: Instant) {
        if now.since(from) >= SLICE_MIN {
            self.shared_until = now + SHARED_FOR;
        }
    }

    /// Decides after a turn at `now` that had work (`busy`) or not; the earliest deadline is
    /// `deadline`.
    pub(super) fn after_turn(
        &mut self,
        now: Instant,
        busy: bool,
        deadline: Option<Instant>,
    ) -> Rest {
        if busy {
            self.busy_at = now;
        }
        let spins = match self.policy {
            IdlePolicy::Spin => true,
            IdlePolicy::Adaptive if now < self.shared_until => busy,
            IdlePolicy::Adaptive => now.since(self.busy_at) < SPIN_MAX,
            IdlePolicy::Sleep => busy,
        };
        if spins {
            return Rest::No;
        }
        let span = deadline.map_or(SLEEP_MAX, |at| at.since(now)).min(SLEEP_MAX);
        if span == Duration::ZERO { Rest::No } else { Rest::Sleep(span) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant::from_millis(1000);

    #[test]
    fn a_spinning_worker_never_sleeps() {
        let mut idle = Idle::new(IdlePolicy::Spin, T0);
        assert_eq!(idle.after_turn(T0 + Duration::from_secs(5), false, None), Rest::No);
    }

    #[test]
    fn the_sleep_policy_sleeps_after_the_first_turn_without_work() {
        let mut idle = Idle::new(IdlePolicy::Sleep, T0);
        let next = T0 + Duration::from_micros(1);
        assert_eq!(idle.after_turn(T0, true, None), Rest::No);
        assert_eq!(idle.after_turn(next, false, None), Rest::Sleep(SLEEP_MAX));
        assert_eq!(idle.after_turn(next, false, Some(next)), Rest::No);
    }

    #[test]
    fn an_adaptive_worker_sleeps_after_a_while_and_no_longer_than_the_deadline() {
        let mut idle = Idle::new(IdlePolicy::Adaptive, T0);
        let later = T0 + Duration::from_millis(1);
        assert_eq!(idle.after_turn(T0 + Duration::from_micros(10), false, None), Rest::No);
        assert_eq!(idle.after_turn(later, false, None), Rest::Sleep(SLEEP_MAX));
        let due = later + Duration::from_micros(300);
        assert_eq!(
            idle.after_turn(later, false, Some(due)),
            Rest::Sleep(Duration::from_micros(300))
        );
        assert_eq!(idle.after_turn(later, false, Some(later)), Rest::No);
        assert_eq!(idle.after_turn(later, true, None), Rest::No);
    }

    #[test]
    fn an_adaptive_worker_sleeps_at_once_while_others_compete_for_its_core() {
        let mut idle = Idle::new(IdlePolicy::Adaptive, T0);
        let soon = T0 + Duration::from_micros(10);
        // Yields to nothing, and to the kernel's half of a virtual link: the worker spins on.
        idle.after_yield(T0, soon);
        idle.after_yield(T0, T0 + Duration::from_micros(400));
        assert_eq!(idle.after_turn(soon, false, None), Rest::No);
        // A time slice of another program.
        let back = T0 + Duration::from_millis(3);
        idle.after_yield(T0, back);
        assert_eq!(idle.after_turn(back, true, None), Rest::No);
        assert_eq!(idle.after_turn(back, false, None), Rest::Sleep(SLEEP_MAX));
        // The worker tries to spin again after a while.
        let later = back + SHARED_FOR;
        assert_eq!(idle.after_turn(later, true, None), Rest::No);
        assert_eq!(idle.after_turn(later, false, None), Rest::No);
    }

    #[test]
    fn a_spinning_worker_does_not_sleep_even_if_others_compete_for_its_core() {
        let mut idle = Idle::new(IdlePolicy::Spin, T0);
        let back = T0 + Duration::from_millis(30);
        idle.after_yield(T0, back);
        assert_eq!(idle.after_turn(back, false, None), Rest::No);
    }
}
