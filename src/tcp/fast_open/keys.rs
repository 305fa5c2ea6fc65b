//! Cookie generation and validation of a server (RFC 7413 §4.1.2): a message authentication code of
//! the client's and the server's address.
//!
//! Owns the keys and their rotation. Addresses are opaque bytes, the client's first. The code is
//! SipHash-2-4, eight bytes, as in Linux: Linux servers and linerate that share a key behind one
//! address (§6.3.3) accept each other's cookies.

use siphasher::sip::SipHasher24;

use super::Cookie;
use crate::time::{Duration, Instant};

/// RFC 7413 §4.1.2:
///   > The cookie expires after a certain amount of time. [...] This can be done by either
///   > periodically changing the server key used to generate cookies
///
/// A cookie is valid in the period of its creation and in the next one. A longer period gives an
/// attacker who collects cookies more time to use them at once (§5.1); with a shorter one, the
/// cookies of clients that return once a day expire.
/// expired.
const PERIOD: Duration = Duration::from_secs(12 * 3600);

/// Validity of a cookie: `IsCookieValid` of RFC 7413 §4.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Judgement {
    /// Made with the current key.
    Good,
    /// Made with the previous key: the client gets a new cookie.
    Aging,
    /// Forged, made for another address, or expired.
    Bad,
}

/// Source of the keys.
#[derive(Clone)]
enum Source {
    /// A secret from which each period derives its key.
    Secret(SipHasher24),
    /// The operator sets the keys.
    Operator,
}

/// Cookie keys of a server.
#[derive(Clone)]
pub struct CookieKeys {
    source: Source,
    period: u64,
    now: SipHasher24,
    before: Option<SipHasher24>,
}

impl core::fmt::Debug for CookieKeys {
    // Keeps the secrets out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CookieKeys").field("period", &self.period).finish_non_exhaustive()
    }
}

impl CookieKeys {
    /// Derives the keys of all periods from a random 128-bit secret. The same secret and the same
    /// clock give the same cookies.
    pub fn drawn(secret: [u8; 16]) -> Self {
        let secret = SipHasher24::new_with_key(&secret);
        let (now, before) = (of_period(&secret, 0), None);
        Self { source: Source::Secret(secret), period: 0, now, before }
    }

    /// Uses the operator's keys: new cookies use the first, and cookies of the second stay valid.
    pub fn given(now: [u8; 16], before: Option<[u8; 16]>) -> Self {
        let keyed = |key| SipHasher24::new_with_key(&key);
        Self { source: Source::Operator, period: 0, now: keyed(now), before: before.map(keyed) }
    }

    /// Returns the cookie of a client: `GetCookie` of RFC 7413 §4.1.2. `path` is the client's
    /// address followed by the local one.
    pub fn cookie(&mut self, path: &[u8], now: Instant) -> Cookie {
        self.turn(now);
        let code = self.now.hash(path).to_le_bytes();
        Cookie::new(&code).expect("eight bytes are a cookie")
    }

    /// Validates the cookie of a client.
    pub fn judge(&mut self, path: &[u8], cookie: &Cookie, now: Instant) -> Judgement {
        let Ok(code) = cookie.as_slice().try_into().map(u64::from_le_bytes) else {
            return Judgement::Bad;
        };
        self.turn(now);
        if self.now.hash(path) == code {
            return Judgement::Good;
        }
        match &self.before {
            Some(before) if before.hash(path) == code => Judgement::Aging,
            _ => Judgement::Bad,
        }
    }

    /// Rotates the keys at the end of a period.
    fn turn(&mut self, now: Instant) {
        let Source::Secret(secret) = &self.source else { return };
        let period = now.as_nanos() / PERIOD.as_nanos();
        if period != self.period {
            self.period = period;
            self.now = of_period(secret, period);
            self.before = period.checked_sub(1).map(|before| of_period(secret, before));
        }
    }
}

/// Derives the key of a period.
fn of_period(secret: &SipHasher24, period: u64) -> SipHasher24 {
    let half = |n: u8| {
        let mut label = [0; 9];
        label[..8].copy_from_slice(&period.to_le_bytes());
        label[8] = n;
        secret.hash(&label)
    };
    SipHasher24::new_with_keys(half(0), half(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &[u8] = &[192, 0, 2, 1, 192, 168, 0, 1];
    const NOW: Instant = Instant::from_millis(1_000);

    #[test]
    fn a_cookie_is_valid_for_its_own_client_only() {
        // RFC 7413 §4.1.2 (1), (2)
        let mut keys = CookieKeys::drawn([1; 16]);
        let cookie = keys.cookie(PATH, NOW);
        assert_eq!(keys.judge(PATH, &cookie, NOW), Judgement::Good);
        assert_eq!(keys.judge(&[192, 0, 2, 2, 192, 168, 0, 1], &cookie, NOW), Judgement::Bad);
        assert_eq!(CookieKeys::drawn([2; 16]).judge(PATH, &cookie, NOW), Judgement::Bad);
        for bit in 0..64 {
            let mut forged: Vec<u8> = cookie.as_slice().to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = Cookie::new(&forged).expect("eight bytes");
            assert_eq!(keys.judge(PATH, &forged, NOW), Judgement::Bad);
        }
        for len in [4, 6, 10, 16] {
            let other = Cookie::new(&vec![0; len]).expect("a cookie");
            assert_eq!(keys.judge(PATH, &other, NOW), Judgement::Bad);
        }
    }

    #[test]
    fn a_cookie_expires_after_one_to_two_periods() {
        // RFC 7413 §4.1.2 (5)
        let mut keys = CookieKeys::drawn([1; 16]);
        let made_at = Instant::ZERO + PERIOD.times(3);
        let cookie = keys.cookie(PATH, made_at);
        let second = Duration::from_secs(1);
        let judged = [
            (made_at + (PERIOD - second), Judgement::Good),
            (made_at + PERIOD, Judgement::Aging),
            (made_at + (PERIOD.times(2) - second), Judgement::Aging),
            (made_at + PERIOD.times(2), Judgement::Bad),
        ];
        for (at, judgement) in judged {
            assert_eq!(keys.judge(PATH, &cookie, at), judgement);
        }
        // A shard that was idle for the whole time derives the same keys.
        let mut other = CookieKeys::drawn([1; 16]);
        assert_eq!(other.judge(PATH, &cookie, made_at + PERIOD), Judgement::Aging);
    }

    #[test]
    fn an_operator_can_set_and_rotate_keys() {
        // RFC 7413 §4.1.2: "key rotation to generate and verify cookies using multiple keys"
        let mut old = CookieKeys::given([1; 16], None);
        let cookie = old.cookie(PATH, NOW);
        let mut new = CookieKeys::given([2; 16], Some([1; 16]));
        assert_eq!(new.judge(PATH, &cookie, NOW), Judgement::Aging);
        assert_eq!(new.judge(PATH, &new.clone().cookie(PATH, NOW), NOW), Judgement::Good);
        assert_eq!(
            CookieKeys::given([3; 16], Some([2; 16])).judge(PATH, &cookie, NOW),
            Judgement::Bad
        );
    }

    #[test]
    fn the_same_key_gives_the_same_cookie_as_linux() {
        // The key a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4, from 192.0.2.1 to 192.168.0.1.
        let key = core::array::from_fn(|at| [0xa1, 0xb2, 0xc3, 0xd4][at / 4]);
        let cookie = CookieKeys::given(key, None).cookie(PATH, NOW);
        assert_eq!(format!("{cookie:?}"), "3021b9d889017eeb");
    }

    #[test]
    fn the_secrets_are_not_printed() {
        assert_eq!(format!("{:?}", CookieKeys::drawn([7; 16])), "CookieKeys { period: 0, .. }");
    }
}
