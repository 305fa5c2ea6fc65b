//! How many answers strangers get: resets, ICMP and challenge ACKs, a number a second and shard, so that
//! the stack is no amplifier and no oracle (RFC 5961 §7, RFC 4443 §2.4 (f)).

use crate::time::{Duration, Instant};

/// A bucket of answers, filled anew each second.
#[derive(Debug)]
pub(super) struct Limiter {
    a_second: u32,
    left: u32,
    since: Instant,
}

/// Whether an answer may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Allowance {
    Granted,
    UsedUp,
}

impl Limiter {
    pub(super) const fn new(a_second: u32) -> Self {
        Self { a_second, left: a_second, since: Instant::ZERO }
    }

    /// Takes one answer out of this second's.
    #[inline]
    pub(super) fn take(&mut self, now: Instant) -> Allowance {
        if now.since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.left = self.a_second;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Allowance::Granted
            }
            None => Allowance::UsedUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_a_seconds_worth_there_is_silence_until_the_next() {
        let mut limiter = Limiter::new(2);
        let at = Instant::from_millis;
        let answers: Vec<_> = [0, 1, 2, 999, 1000].map(|ms| limiter.take(at(ms))).into();
        let (yes, no) = (Allowance::Granted, Allowance::UsedUp);
        assert_eq!(answers, [yes, yes, no, no, yes]);
    }
}
