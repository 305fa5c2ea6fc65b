//! Delivery rate per round trip, for information, independent of the congestion control. The rate
//! samples for model-based algorithms are in `rate` and cost more.
//!
//! Owns the byte count of the current round and the rate of the last complete one.

use crate::tcp::SeqNum;
use crate::time::Instant;

/// Round trips of one flight.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Delivery {
    began_at: Instant,
    /// Sequence number whose acknowledgment ends the round.
    end: SeqNum,
    /// Bytes delivered in the current round.
    delivered: u32,
    /// Rate of the previous round in bytes per second; 0 before the first.
    rate: u64,
}

impl Delivery {
    /// Starts a round when data up to `end` is sent into an empty flight.
    pub(in crate::tcp) const fn begin(&mut self, now: Instant, end: SeqNum) {
        (self.began_at, self.end, self.delivered) = (now, end, 0);
    }

    /// Processes an ACK of `delivered` bytes, with SND.UNA and SND.NXT after it.
    #[inline]
    pub(in crate::tcp) fn on_ack(
        &mut self,
        now: Instant,
        delivered: u32,
        una: SeqNum,
        nxt: SeqNum,
    ) {
        self.delivered = self.delivered.saturating_add(delivered);
        if una.before(self.end) {
            return;
        }
        let nanos = now.since(self.began_at).as_nanos();
        let whole = u64::from(self.delivered).saturating_mul(1_000_000_000);
        self.rate = whole.checked_div(nanos).unwrap_or(self.rate);
        self.begin(now, nxt);
    }

    pub(in crate::tcp) fn rate(&self) -> Option<u64> {
        (self.rate != 0).then_some(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_complete_round_trip() {
        let at = Instant::from_millis;
        let mut delivery = Delivery::default();
        delivery.begin(at(1000), SeqNum(1000));
        assert_eq!(delivery.rate(), None);
        delivery.on_ack(at(1100), 1000, SeqNum(1000), SeqNum(5000));
        assert_eq!(delivery.rate(), Some(10_000));
        delivery.on_ack(at(1150), 2000, SeqNum(3000), SeqNum(9000));
        assert_eq!(delivery.rate(), Some(10_000), "the round is not over");
        delivery.on_ack(at(1200), 2000, SeqNum(5000), SeqNum(9000));
        assert_eq!(delivery.rate(), Some(40_000));
    }
}
