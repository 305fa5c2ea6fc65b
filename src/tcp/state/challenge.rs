//! The limit of challenge ACKs per second and connection (RFC 5961 §7).
//!
//! Each connection has its own count. A shared count would be a side channel: an attacker with a
//! connection of its own sees how much of the budget is left, and so learns that its forged
//! segments hit another connection. That reveals the port, then the sequence numbers
//! (CVE-2016-5696).

use crate::time::Instant;

/// The challenge ACK counter of one connection, in two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Challenges {
    /// The second of the last challenge ACK, modulo 256. One sent 256 seconds ago counts as sent
    /// now.
    second: u8,
    /// Number of challenge ACKs sent in that second.
    sent: u8,
}

/// The answer to a request to send a challenge ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Challenge {
    Granted,
    UsedUp,
}

impl Challenges {
    /// Requests one challenge ACK out of `most` per second.
    pub(in crate::tcp) fn take(&mut self, now: Instant, most: u8) -> Challenge {
        let second = (now.as_millis() / 1000) as u8;
        if second != self.second {
            *self = Self { second, sent: 0 };
        }
        if self.sent >= most {
            return Challenge::UsedUp;
        }
        self.sent += 1;
        Challenge::Granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_per_second_are_limited() {
        // RFC 5961 §7
        let mut challenges = Challenges::default();
        let mut at = |ms| challenges.take(Instant::from_millis(ms), 2);
        let (yes, no) = (Challenge::Granted, Challenge::UsedUp);
        let given = [0, 1, 2, 999, 1000, 1999, 1999, 2000].map(&mut at);
        assert_eq!(given, [yes, yes, no, no, yes, yes, no, yes]);
    }
}
