//! What a worker does when a turn found nothing.

use crate::time::{Duration, Instant};

/// Spin for the lowest latency, or sleep when nothing happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Never sleep: a core is burnt, and a frame is seen the moment it arrives.
    Spin,
    /// Spin for a short while, then sleep on the socket until a frame, a deadline or a command.
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

/// The memory of the policy: when something last happened.
#[derive(Debug)]
pub(super) struct Idle {
    policy: IdlePolicy,
    busy_at: Instant,
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
        Self { policy, busy_at: now }
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
}
