//! Rate limit of replies without a flow: resets, ICMP and challenge ACKs, per second and shard, so
//! that the stack is neither an amplifier nor an oracle (RFC 5961 §7, RFC 4443 §2.4 (f)).
//!
//! Each second draws its own random limit. If an attacker knew the limit, it could count the
//! replies that are left, infer how many others received, and, with forged sources, discover
//! connections (CVE-2016-5696, CVE-2020-25705).

use siphasher::sip::SipHasher24;

use crate::time::{Duration, Instant};

/// A bucket of replies, refilled every second.
pub(in crate::shard) struct Limiter {
    per_second: u32,
    pub(in crate::shard) left: u32,
    since: Instant,
    random: SipHasher24,
}

/// Permission to send a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum Allowance {
    Granted,
    Denied,
}

impl Limiter {
    /// Creates a limiter. The limit of each second is between half and one and a half times
    /// `per_second`, drawn with `secret`.
    pub(in crate::shard) fn new(per_second: u32, secret: [u8; 16]) -> Self {
        let random = SipHasher24::new_with_key(&secret);
        let mut limiter = Self { per_second, left: 0, since: Instant::ZERO, random };
        limiter.fill();
        limiter
    }

    /// Changes the rate from the next second on.
    pub(in crate::shard) const fn set_rate(&mut self, per_second: u32) {
        self.per_second = per_second;
    }

    fn fill(&mut self) {
        let mut message = [0; 12];
        message[..8].copy_from_slice(&self.since.as_nanos().to_le_bytes());
        message[8..].copy_from_slice(&self.per_second.to_le_bytes());
        let drawn = u128::from(self.random.hash(&message)) * u128::from(self.per_second);
        self.left = self.per_second.div_ceil(2) + (drawn >> 64) as u32;
    }

    /// Refills the bucket if its second is over.
    #[inline]
    pub(in crate::shard) fn refill(&mut self, now: Instant) {
        if now.since(self.since) >= Duration::from_secs(1) {
            self.since = now;
            self.fill();
        }
    }

    /// Consumes one reply of the current second.
    #[inline]
    pub(in crate::shard) fn take(&mut self, now: Instant) -> Allowance {
        self.refill(now);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Allowance::Granted
            }
            None => Allowance::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of replies granted in the second after `second`.
    fn granted(limiter: &mut Limiter, second: u64) -> usize {
        let at = |n: u64| Instant::from_millis(second * 1000 + n % 1000);
        (0..10_000).filter(|n| limiter.take(at(*n)) == Allowance::Granted).count()
    }

    #[test]
    fn replies_stop_once_the_limit_of_the_second_is_reached() {
        let mut limiter = Limiter::new(2, [7; 16]);
        let at = Instant::from_millis;
        while limiter.take(at(5)) == Allowance::Granted {}
        assert_eq!(limiter.take(at(999)), Allowance::Denied);
        assert_eq!(limiter.take(at(1000)), Allowance::Granted);
        assert_eq!(granted(&mut Limiter::new(0, [7; 16]), 3), 0);
    }

    #[test]
    fn the_limit_of_each_second_is_unpredictable() {
        // RFC 5961 §7, without the side channel of CVE-2016-5696.
        let mut limiter = Limiter::new(1000, [7; 16]);
        let counts: Vec<_> = (1..200).map(|second| granted(&mut limiter, second)).collect();
        assert!(counts.iter().all(|count| (500..1500).contains(count)), "{counts:?}");
        let mean = counts.iter().sum::<usize>() / counts.len();
        assert!((900..1100).contains(&mean), "{mean}");
        let distinct: std::collections::BTreeSet<_> = counts.iter().collect();
        assert!(distinct.len() > 100, "{counts:?}");
        assert_ne!(granted(&mut Limiter::new(1000, [8; 16]), 1), counts[0]);
    }
}
