//! What a worker does when a turn found nothing.

use crate::time::{Duration, Instant};

/// Spin for the lowest latency, or sleep when nothing happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Never sleep: a core is burnt, and a frame is seen the moment it arrives.
    Spin,
    /// Spin for a short while, then sleep on the socket until a frame, a deadline or a command; as long as
    /// somebody else wants the core too, as [`Sleep`](Self::Sleep).
    #[default]
    Adaptive,
    /// Sleep on the socket whenever a turn finds nothing: for workers that share a core with each other or with
    /// what they talk to, which a spinning one would keep from running.
    Sleep,
}

/// How long an adaptive worker spins before it sleeps. Shorter, and a ping-pong at a round trip of some
/// tens of microseconds pays a wake-up (up to 100 µs on a virtual machine) every time; longer, and an idle
/// worker burns a core for nothing.
const SPIN: Duration = Duration::from_micros(200);

/// The longest sleep, so that counters are published and a lost wake-up costs little.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// A yield of the core that takes so long went to a program that had work for a time slice, some milliseconds;
/// to none it takes a microsecond, and to the kernel's half of a virtual link less than this.
const SLICE_MIN: Duration = Duration::from_micros(500);

/// How long a core counts as shared after such a yield. The scheduler takes a yield for a slice forgone: who
/// yields between all packets gets a turn for every slice of the others, some milliseconds late, while who
/// sleeps is woken at once, having used little. Shorter, and one slice is lost each time to find that nothing
/// has changed; longer, and a core that is free again pays wake-ups.
const SHARED_FOR: Duration = Duration::from_millis(100);

/// The memory of the policy: when something last happened, and until when the core counts as shared.
#[derive(Debug)]
pub(super) struct Idle {
    policy: IdlePolicy,
    busy_at: Instant,
    shared_until: Instant,
}

/// What to do before the next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Rest {
    /// Turn at once.
    No,
    /// Sleep at most this long.
    Sleep(Duration),
}

impl Idle {
    pub(super) const fn new(policy: IdlePolicy, now: Instant) -> Self {
        Self { policy, busy_at: now, shared_until: Instant::ZERO }
    }

    /// The core was yielded at `from` and is back at `now`.
    pub(super) fn after_yield(&mut self, from: Instant, now: Instant) {
        if now.since(from) >= SLICE_MIN {
            self.shared_until = now + SHARED_FOR;
        }
    }

    /// After a turn at `now` that was `busy` or not; the stack wants to be called at `deadline`.
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
            IdlePolicy::Adaptive => now.since(self.busy_at) < SPIN,
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
    fn a_sleeping_worker_sleeps_after_the_first_turn_that_finds_nothing() {
        let mut idle = Idle::new(IdlePolicy::Sleep, T0);
        let next = T0 + Duration::from_micros(1);
        assert_eq!(idle.after_turn(T0, true, None), Rest::No);
        assert_eq!(idle.after_turn(next, false, None), Rest::Sleep(SLEEP_MAX));
        assert_eq!(idle.after_turn(next, false, Some(next)), Rest::No);
    }

    #[test]
    fn an_adaptive_worker_sleeps_once_it_was_idle_for_a_while_and_no_longer_than_the_deadline() {
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
    fn an_adaptive_worker_sleeps_at_once_while_others_want_its_core() {
        let mut idle = Idle::new(IdlePolicy::Adaptive, T0);
        let soon = T0 + Duration::from_micros(10);
        // The kernel's half of a virtual link's work, and none at all: it spins on.
        idle.after_yield(T0, soon);
        idle.after_yield(T0, T0 + Duration::from_micros(400));
        assert_eq!(idle.after_turn(soon, false, None), Rest::No);
        // A time slice of somebody else.
        let back = T0 + Duration::from_millis(3);
        idle.after_yield(T0, back);
        assert_eq!(idle.after_turn(back, true, None), Rest::No);
        assert_eq!(idle.after_turn(back, false, None), Rest::Sleep(SLEEP_MAX));
        // Whether that is still so is tried once in a while.
        let later = back + SHARED_FOR;
        assert_eq!(idle.after_turn(later, true, None), Rest::No);
        assert_eq!(idle.after_turn(later, false, None), Rest::No);
    }

    #[test]
    fn a_spinning_worker_does_not_sleep_though_others_want_its_core() {
        let mut idle = Idle::new(IdlePolicy::Spin, T0);
        let back = T0 + Duration::from_millis(30);
        idle.after_yield(T0, back);
        assert_eq!(idle.after_turn(back, false, None), Rest::No);
    }
}
