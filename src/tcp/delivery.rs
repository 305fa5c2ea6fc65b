//! How much the path delivers, round trip by round trip: a figure for whoever looks, whatever the congestion
//! control. What those need that work by a rate is in `rate`, and costs more.
//!
//! Owns the count of the round under way and the rate of the last whole one.

use crate::tcp::SeqNum;
use crate::time::Instant;

/// The rounds of one flight.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Delivery {
    began_at: Instant,
    /// The acknowledgment of this ends the round.
    end: SeqNum,
    /// Bytes delivered in it so far.
    delivered: u32,
    /// Bytes a second, in the one before; 0 is none yet.
    rate: u64,
}

impl Delivery {
    /// Something is sent with nothing in flight, up to `end`.
    pub(in crate::tcp) const fn begin(&mut self, now: Instant, end: SeqNum) {
        (self.began_at, self.end, self.delivered) = (now, end, 0);
    }

    /// An ACK delivers so many bytes and leaves SND.UNA at `una`, with SND.NXT at `nxt`.
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
    fn the_rate_is_that_of_the_last_whole_round_trip() {
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
