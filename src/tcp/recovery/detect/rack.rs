//! RACK: a segment is lost if one sent after it has arrived and enough time has passed (RFC 8985
//! §6).
//!
//! Owns the most recently sent segment that arrived, and the reordering window. Does not know the
//! other segments: the scoreboard supplies the oldest one. Times are microseconds modulo 2^32.

use crate::tcp::SeqNum;
use crate::tcp::scoreboard::{Delivered, Piece};
use crate::time::Duration;

/// DupThresh (RFC 5681): number of SACKed segments that indicates a loss if no reordering was seen.
const DUP_THRESH: u32 = 3;

/// RFC 8985 §6.2 step 4: recoveries without D-SACK after which the window returns to its minimum.
const PERSIST: u8 = 16;

/// RACK state of a flight.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Rack {
    /// RACK.xmit_ts.
    sent_us: u32,
    /// RACK.end_seq; `None` until a segment has arrived.
    end: Option<SeqNum>,
    /// RACK.rtt.
    rtt_us: u32,
    /// RACK.fack.
    fack: Option<SeqNum>,
    /// RACK.dsack_round.
    dsack_round: Option<SeqNum>,
}

/// Reordering state, kept across flights.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Reordering {
    /// RACK.reo_wnd_mult.
    mult: u8,
    /// RACK.reo_wnd_persist.
    persist: u8,
    /// RACK.reordering_seen.
    pub(in crate::tcp) seen: bool,
    /// Maximum reordering distance in segments, for information.
    pub(in crate::tcp) degree: u16,
    /// Number of reordering events, for information.
    pub(in crate::tcp) times: u8,
}

impl Default for Reordering {
    fn default() -> Self {
        Self { mult: 1, persist: PERSIST, seen: false, degree: 0, times: 0 }
    }
}

impl Reordering {
    /// Records an ACK that delivered a segment `bytes` late.
    pub(in crate::tcp) fn note(&mut self, bytes: u32, mss: u16) {
        let segments = bytes.div_ceil(u32::from(mss.max(1)));
        self.degree = self.degree.max(u16::try_from(segments).unwrap_or(u16::MAX));
        self.times = self.times.saturating_add(1);
    }

    /// Returns true if the next flight needs this state.
    pub(in crate::tcp) const fn remembers(&self) -> bool {
        self.seen || self.mult > 1
    }

    /// Processes the end of fast or RTO recovery (second half of step 4).
    pub(in crate::tcp) fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.mult = 1;
        }
    }

    /// Returns RACK.reo_wnd in microseconds:
    ///   > min(RACK.reo_wnd_mult * RACK.min_RTT / 4, SRTT)
    ///
    /// and 0 if no reordering was seen and a loss is certain enough.
    pub(in crate::tcp) fn window_us(
        &self,
        recovering: bool,
        selected: u32,
        min_rtt_us: u32,
        srtt: Option<Duration>,
    ) -> u32 {
        if !self.seen && (recovering || selected >= DUP_THRESH) {
            return 0;
        }
        let most = srtt.map_or(u64::MAX, Duration::as_micros);
        let window = u64::from(self.mult) * u64::from(min_rtt_us) / 4;
        u32::try_from(window.min(most)).unwrap_or(u32::MAX / 4)
    }
}

/// Loss decision for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Overdue {
    /// The segment is lost now.
    Now,
    /// The segment is lost after this many microseconds.
    In(u32),
    /// Nothing indicates that the segment is lost.
    Never,
}

impl Rack {
    /// Applies steps 2 and 3 to an arrived segment. Returns the reordering distance in bytes if it
    /// is late. `echoes_earlier` says that the ACK echoes a copy older than the last transmission.
    pub(in crate::tcp) fn on_delivered(
        &mut self,
        segment: &Delivered,
        now_us: u32,
        echoes_earlier: bool,
        min_rtt_us: u32,
        kept: &mut Reordering,
    ) -> Option<u32> {
        if !segment.whole {
            return None;
        }
        let late = self.detect_reordering(segment, kept);
        let rtt_us = now_us.wrapping_sub(segment.sent_us);
        // "To avoid spurious inferences, ignore a segment as invalid if any of its sequence range
        // has been retransmitted before and if either of two conditions is true": the timestamp
        // echo belongs to an earlier copy, or the ACK is faster than the minimum RTT.
        if segment.resent && (echoes_earlier || rtt_us < min_rtt_us) {
            return late;
        }
        let newer = |end| sent_after(segment.sent_us, segment.end, self.sent_us, end);
        // "RACK.rtt is the RTT of the most recently delivered segment", also if it was not the last
        // one sent. Of several segments that one ACK delivers, the highest sequence number counts,
        // where step 2 orders them by transmission time: a late original measures the path as it is
        // now, a fast copy sent after it does not.
        self.rtt_us = rtt_us;
        if self.end.is_none_or(newer) {
            (self.sent_us, self.end) = (segment.sent_us, Some(segment.end));
        }
        late
    }

    /// Uses SRTT as RACK.rtt if no segment of the flight has arrived yet.
    pub(in crate::tcp) fn assume_rtt(&mut self, srtt: Option<Duration>) {
        if self.end.is_none() {
            let us = srtt.map_or(0, Duration::as_micros);
            self.rtt_us = u32::try_from(us).unwrap_or(u32::MAX / 4);
        }
    }

    /// Step 3: detects a segment, sent once, that arrives after a higher one. Returns the distance
    /// in bytes.
    fn detect_reordering(&mut self, segment: &Delivered, kept: &mut Reordering) -> Option<u32> {
        match self.fack {
            Some(fack) if segment.end.before(fack) => {
                kept.seen |= !segment.resent;
                (!segment.resent).then(|| fack.distance_from(segment.end - segment.len))
            }
            _ => {
                self.fack = Some(segment.end);
                None
            }
        }
    }

    /// First half of step 4: processes a D-SACK; SND.UNA is `una` after the ACK. The window grows
    /// at most once per round trip.
    pub(in crate::tcp) fn on_dsack(&mut self, una: SeqNum, nxt: SeqNum, kept: &mut Reordering) {
        if self.dsack_round.is_none_or(|round| una.at_or_after(round)) {
            self.dsack_round = Some(nxt);
            kept.mult = kept.mult.saturating_add(1);
            kept.persist = PERSIST;
        }
    }

    /// Returns true if `segment` was sent before the most recent one that arrived.
    pub(in crate::tcp) fn is_past(&self, segment: &Piece) -> bool {
        let before = |end| sent_after(self.sent_us, end, segment.sent_us, segment.end);
        self.end.is_some_and(before)
    }

    /// Step 5 for the segment sent longest ago.
    pub(in crate::tcp) fn overdue(&self, segment: &Piece, window_us: u32, now_us: u32) -> Overdue {
        if !self.is_past(segment) {
            return Overdue::Never;
        }
        self.late(segment, window_us, now_us)
    }

    /// Checks the deadline alone. After a timeout (§6.3) no arrival is required.
    pub(in crate::tcp) fn late(&self, segment: &Piece, window_us: u32, now_us: u32) -> Overdue {
        let limit = segment.sent_us.wrapping_add(self.rtt_us).wrapping_add(window_us);
        let remaining = limit.wrapping_sub(now_us) as i32;
        if remaining <= 0 { Overdue::Now } else { Overdue::In(remaining.unsigned_abs()) }
    }
}

/// RACK_sent_after: compares transmission times, and sequence numbers if they are equal.
fn sent_after(us1: u32, end1: SeqNum, us2: u32, end2: SeqNum) -> bool {
    us1.wrapping_sub(us2) as i32 > 0 || us1 == us2 && end1.after(end2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN_RTT_US: u32 = 100_000;

    fn window_us(kept: &Reordering) -> u32 {
        kept.window_us(false, 0, MIN_RTT_US, Some(Duration::from_millis(180)))
    }

    #[test]
    fn the_window_grows_by_a_quarter_each_round_trip_with_a_duplicate_up_to_srtt() {
        // RFC 8985 §6.2 step 4: "after N round trips in which a DSACK is received, the RACK.reo_wnd
        // becomes (N+1) * min_RTT / 4, with an upper-bound of SRTT"; §3.3.2 (3).
        let (mut rack, mut kept) = (Rack::default(), Reordering::default());
        let mut una = SeqNum(u32::MAX - 5_000);
        for round in 1..=5u32 {
            for _ in 0..3 {
                rack.on_dsack(una, una + 1_000, &mut kept);
                assert_eq!(window_us(&kept), (round + 1) * MIN_RTT_US / 4, "once a round trip");
            }
            una += 1_000;
        }
        for _ in 0..300 {
            una += 1_000;
            rack.on_dsack(una, una + 1_000, &mut kept);
        }
        assert_eq!(window_us(&kept), 180_000);
    }

    #[test]
    fn sixteen_recoveries_without_a_duplicate_reset_the_window() {
        // RFC 8985 §6.2 step 4: "RACK persists using the inflated RACK.reo_wnd for up to 16 loss
        // recoveries, after which it resets RACK.reo_wnd to its starting value, min_RTT / 4."
        let (mut rack, mut kept) = (Rack::default(), Reordering::default());
        rack.on_dsack(SeqNum(0), SeqNum(10), &mut kept);
        (0..10).for_each(|_| kept.on_recovered());
        rack.on_dsack(SeqNum(10), SeqNum(20), &mut kept);
        (0..15).for_each(|_| kept.on_recovered());
        assert_eq!(window_us(&kept), 3 * MIN_RTT_US / 4);
        kept.on_recovered();
        assert_eq!(window_us(&kept), MIN_RTT_US / 4);
    }

    #[test]
    fn without_reordering_the_window_is_zero_where_a_loss_is_certain_enough() {
        // RFC 8985 §3.3.2 (1), §6.2 step 4.
        let srtt = Some(Duration::from_millis(100));
        for (seen, recovering, selected, expected) in [
            (false, false, 0, 25_000),
            (false, false, 2, 25_000),
            (false, false, 3, 0),
            (false, true, 0, 0),
            (true, false, 3, 25_000),
            (true, true, 9, 25_000),
        ] {
            let kept = Reordering { seen, ..Reordering::default() };
            assert_eq!(kept.window_us(recovering, selected, MIN_RTT_US, srtt), expected);
        }
        assert_eq!(Reordering::default().window_us(false, 0, 0, None), 0, "no estimate, no window");
    }

    #[test]
    fn of_the_segments_that_one_ack_delivers_the_highest_gives_the_round_trip() {
        // Deliberate deviation from RFC 8985 §6.2 step 2.
        let arrived = |end, sent_us, resent| Delivered {
            end: SeqNum(end),
            sent_us,
            stamp: crate::tcp::rate::RateStamp::default(),
            len: 10,
            resent,
            whole: true,
        };
        let (mut rack, mut kept) = (Rack::default(), Reordering::default());
        let now_us = 300_000;
        let _ = rack.on_delivered(&arrived(10, 200_000, true), now_us, false, 0, &mut kept);
        let _ = rack.on_delivered(&arrived(20, 10_000, false), now_us, false, 0, &mut kept);
        assert_eq!((rack.rtt_us, rack.sent_us, rack.end), (290_000, 200_000, Some(SeqNum(10))));
    }

    #[test]
    fn the_microsecond_clock_may_wrap_in_the_middle_of_a_flight() {
        // RFC 8985 §4 (2): any granularity finer than a quarter of the round trip suffices.
        let mut rack = Rack::default();
        let sent = |us: u32, end| Piece {
            seq: SeqNum(end - 10),
            end: SeqNum(end),
            sent_us: us,
            stamp: crate::tcp::rate::RateStamp::default(),
        };
        let arrived = Delivered {
            end: SeqNum(30),
            sent_us: 20,
            stamp: crate::tcp::rate::RateStamp::default(),
            len: 10,
            resent: false,
            whole: true,
        };
        let _ = rack.on_delivered(&arrived, 1_020, false, 0, &mut Reordering::default());
        let first = sent(0u32.wrapping_sub(50), 20);
        assert_eq!(rack.overdue(&first, 250, 1_020), Overdue::In(180));
        assert_eq!(rack.overdue(&first, 250, 1_200), Overdue::Now);
        assert_eq!(rack.overdue(&sent(20, 40), 250, 9_999), Overdue::Never, "sent at once, later");
        assert_eq!(rack.overdue(&sent(20, 20), 0, 1_020), Overdue::Now, "sent at once, before");
    }
}
