//! How many challenge ACKs one connection sends in a second (RFC 5961 §7).
//!
//! The count is the connection's own. One that connections shared would tell an attacker, who sees by a
//! connection of his own how much is left of it, whether what he forged hit another's: so its ports are found,
//! then its numbers (CVE-2016-5696).

use crate::time::Instant;

/// The challenge ACKs of one connection, in two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Challenges {
    /// The second in which the last was sent, modulo 256: one more of four minutes ago is counted as if it
    /// were of now.
    second: u8,
    /// How many were sent in it.
    sent: u8,
}

/// Whether one more may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Challenge {
    Granted,
    UsedUp,
}

impl Challenges {
    /// Takes one out of this second's `most`.
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
    fn a_second_has_its_number_of_challenges() {
        // RFC 5961 §7
        let mut challenges = Challenges::default();
        let mut at = |ms| challenges.take(Instant::from_millis(ms), 2);
        let (yes, no) = (Challenge::Granted, Challenge::UsedUp);
        let given = [0, 1, 2, 999, 1000, 1999, 1999, 2000].map(&mut at);
        assert_eq!(given, [yes, yes, no, no, yes, yes, no, yes]);
    }
}
