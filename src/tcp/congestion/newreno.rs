//! NewReno: slow start, congestion avoidance and fast recovery (RFC 5681, RFC 6582), counting bytes
//! (RFC 3465).
//!
//! Owns cwnd and ssthresh. Refuses to know what was lost: it is told when a recovery begins, proceeds
//! and ends.

use super::{Ack, initial_window};

/// Segments that one ACK may add in slow start. RFC 3465 §2.2 allows 2 and RFC 9406 §4.3 allows 8 to a
/// sender that does not pace: peers that answer a burst with one ACK would be held to a crawl by less,
/// and a burst of more overruns small queues.
const SLOW_START_SEGMENTS_AN_ACK: u32 = 8;

/// The state of the algorithm: 16 bytes.
#[derive(Clone, Debug)]
pub struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged since cwnd last grew in congestion avoidance.
    acked: u32,
    mss: u16,
    initial_window: u8,
    episode: Episode,
}

/// What kind of repair the window stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Episode {
    /// None.
    Open,
    /// Fast recovery.
    Recovery,
    /// The timer expired and nothing was acknowledged since.
    TimedOut,
    /// Slow start after a timeout.
    Restarting,
}

impl NewReno {
    pub(super) fn new(mss: u16, segments: u8) -> Self {
        Self {
            cwnd: initial_window(u32::from(mss.max(1)), segments),
            // RFC 5681 §3.1: "The initial value of ssthresh SHOULD be set arbitrarily high".
            ssthresh: u32::MAX,
            acked: 0,
            mss: mss.max(1),
            initial_window: segments,
            episode: Episode::Open,
        }
    }

    #[inline]
    pub(super) const fn cwnd(&self) -> u32 {
        self.cwnd
    }

    #[inline]
    pub(super) const fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    #[inline]
    const fn smss(&self) -> u32 {
        self.mss as u32
    }

    pub(super) fn on_ack(&mut self, ack: Ack) {
        if self.episode == Episode::TimedOut {
            self.episode = Episode::Restarting;
        }
        // RFC 7661 §4.3: cwnd grows only while at least half of it is used, else it would say nothing
        // about the path.
        if self.episode == Episode::Recovery || ack.in_flight < self.cwnd / 2 {
            return;
        }
        if self.cwnd < self.ssthresh {
            self.slow_start(ack.bytes);
        } else {
            self.episode = Episode::Open;
            self.avoid_congestion(ack.bytes);
        }
    }

    /// RFC 5681 §3.1 with RFC 3465 §2.2: cwnd += min(N, L*SMSS).
    fn slow_start(&mut self, acked: u32) {
        // RFC 3465 §2.3: after a timeout an ACK may cover what had arrived before it and says nothing of
        // what leaves the network now, so L is one SMSS.
        let segments =
            if self.episode == Episode::Restarting { 1 } else { SLOW_START_SEGMENTS_AN_ACK };
        let growth = acked.min(segments * self.smss());
        self.cwnd = self.cwnd.saturating_add(growth);
    }

    /// RFC 3465 §2.1: one SMSS for each cwnd of acknowledged bytes.
    fn avoid_congestion(&mut self, acked: u32) {
        self.acked = self.acked.saturating_add(acked);
        if self.acked >= self.cwnd {
            self.acked -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(self.smss());
        }
    }

    /// RFC 5681 equation (4): ssthresh = max(FlightSize / 2, 2*SMSS).
    fn reduce(&mut self, in_flight: u32) {
        self.ssthresh = (in_flight / 2).max(2 * self.smss());
        self.acked = 0;
    }

    pub(super) fn on_enter_recovery(&mut self, in_flight: u32) {
        self.reduce(in_flight);
        // RFC 5681 §3.2 (3): cwnd = ssthresh plus 3*SMSS, for the three segments that left the network.
        self.cwnd = self.ssthresh.saturating_add(3 * self.smss());
        self.episode = Episode::Recovery;
    }

    pub(super) fn on_duplicate_ack(&mut self) {
        // RFC 5681 §3.2 (4): each additional duplicate ACK tells of one more that left.
        if self.episode == Episode::Recovery {
            self.cwnd = self.cwnd.saturating_add(self.smss());
        }
    }

    pub(super) fn on_partial_ack(&mut self, acked: u32) {
        if self.episode != Episode::Recovery {
            return;
        }
        // RFC 6582 §3.2 step 3:
        //   > Deflate the congestion window by the amount of new data acknowledged by the Cumulative
        //   > Acknowledgment field. If the partial ACK acknowledges at least one SMSS of new data,
        //   > then add back SMSS bytes to the congestion window.
        let back = if acked >= self.smss() { self.smss() } else { 0 };
        self.cwnd = self.cwnd.saturating_sub(acked).saturating_add(back).max(self.smss());
    }

    pub(super) fn on_exit_recovery(&mut self, in_flight: u32) {
        if self.episode != Episode::Recovery {
            return;
        }
        // RFC 6582 §3.2 step 3, full acknowledgement, option (1), which sends no burst:
        //   > Set cwnd to min (ssthresh, max(FlightSize, SMSS) + SMSS)
        let flight = in_flight.max(self.smss()).saturating_add(self.smss());
        self.cwnd = self.ssthresh.min(flight);
        self.episode = Episode::Open;
    }

    pub(super) fn on_timeout(&mut self, in_flight: u32) {
        // RFC 5681 §3.1: when the same segment times out again, "the value of ssthresh is held constant".
        if self.episode != Episode::TimedOut {
            self.reduce(in_flight);
        }
        // RFC 5681 §3.1: cwnd becomes LW, "1 full-sized segment (regardless of the value of IW)".
        self.cwnd = self.smss();
        self.episode = Episode::TimedOut;
    }

    pub(super) fn on_idle(&mut self) {
        // RFC 5681 §4.1: RW = min(IW, cwnd).
        self.cwnd = self.cwnd.min(initial_window(self.smss(), self.initial_window));
        self.acked = 0;
    }

    pub(super) fn on_mss(&mut self, mss: u16) {
        self.mss = mss.max(1);
        self.cwnd = self.cwnd.max(self.smss());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    const MSS: u32 = 1000;

    fn reno() -> NewReno {
        NewReno::new(MSS as u16, 10)
    }

    /// An ACK of `bytes` while the whole window is in flight.
    fn ack(c: &mut NewReno, bytes: u32) {
        let in_flight = c.cwnd;
        c.on_ack(Ack { bytes, in_flight, rtt: None, now: Instant::ZERO });
    }

    /// A recovery begun with `in_flight` and ended with `left` in flight.
    fn recovered(in_flight: u32, left: u32) -> NewReno {
        let mut c = reno();
        c.on_enter_recovery(in_flight);
        c.on_exit_recovery(left);
        c
    }

    #[test]
    fn slow_start_doubles_the_window_each_round_trip() {
        let mut c = reno();
        for expected in [20_000, 40_000, 80_000] {
            (0..c.cwnd / (2 * MSS)).for_each(|_| ack(&mut c, 2 * MSS));
            assert_eq!(c.cwnd(), expected);
        }
        assert_eq!(c.ssthresh(), u32::MAX);
    }

    #[test]
    fn an_ack_of_a_burst_adds_8_segments_at_most() {
        let mut c = reno();
        ack(&mut c, 10 * MSS);
        assert_eq!(c.cwnd(), 18_000);
        ack(&mut c, 300);
        assert_eq!(c.cwnd(), 18_300);
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut c = reno();
        c.on_ack(Ack { bytes: MSS, in_flight: 4_999, rtt: None, now: Instant::ZERO });
        assert_eq!(c.cwnd(), 10_000);
        c.on_ack(Ack { bytes: MSS, in_flight: 5_000, rtt: None, now: Instant::ZERO });
        assert_eq!(c.cwnd(), 11_000);
    }

    #[test]
    fn congestion_avoidance_adds_one_segment_a_round_trip() {
        let mut c = recovered(20_000, 20_000);
        assert_eq!((c.cwnd(), c.ssthresh()), (10_000, 10_000));
        (0..9).for_each(|_| ack(&mut c, MSS));
        assert_eq!(c.cwnd(), 10_000);
        ack(&mut c, MSS);
        assert_eq!(c.cwnd(), 11_000);
        ack(&mut c, 11_000);
        assert_eq!(c.cwnd(), 12_000);
    }

    #[test]
    fn fast_recovery_halves_inflates_and_deflates() {
        let mut c = reno();
        c.on_enter_recovery(20_000);
        assert_eq!((c.cwnd(), c.ssthresh()), (13_000, 10_000));
        c.on_duplicate_ack();
        assert_eq!(c.cwnd(), 14_000);
        // An ACK that is not told as partial changes nothing meanwhile.
        ack(&mut c, MSS);
        assert_eq!(c.cwnd(), 14_000);
        c.on_partial_ack(3 * MSS);
        assert_eq!(c.cwnd(), 12_000);
        c.on_partial_ack(500);
        assert_eq!(c.cwnd(), 11_500);
        c.on_exit_recovery(20_000);
        assert_eq!(c.cwnd(), 10_000);
    }

    #[test]
    fn the_window_after_recovery_allows_no_burst() {
        assert_eq!(recovered(20_000, 3_000).cwnd(), 4_000);
        assert_eq!(recovered(20_000, 0).cwnd(), 2_000);
    }

    #[test]
    fn a_partial_ack_leaves_at_least_one_segment() {
        let mut c = reno();
        c.on_enter_recovery(20_000);
        c.on_partial_ack(u32::MAX);
        assert_eq!(c.cwnd(), MSS);
    }

    #[test]
    fn the_threshold_never_falls_below_two_segments() {
        let mut c = reno();
        c.on_enter_recovery(1_000);
        assert_eq!(c.ssthresh(), 2 * MSS);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_the_next_of_the_same_keeps_the_threshold() {
        let mut c = reno();
        c.on_timeout(20_000);
        assert_eq!((c.cwnd(), c.ssthresh()), (MSS, 10_000));
        c.on_timeout(MSS);
        assert_eq!((c.cwnd(), c.ssthresh()), (MSS, 10_000));
        ack(&mut c, MSS);
        c.on_timeout(8_000);
        assert_eq!(c.ssthresh(), 4_000);
    }

    #[test]
    fn slow_start_after_a_timeout_adds_one_segment_an_ack_up_to_the_threshold() {
        let mut c = reno();
        c.on_timeout(20_000);
        ack(&mut c, 5 * MSS);
        assert_eq!(c.cwnd(), 2 * MSS);
        (0..8).for_each(|_| ack(&mut c, 5 * MSS));
        assert_eq!(c.cwnd(), 10_000);
        ack(&mut c, 5 * MSS);
        assert_eq!(c.cwnd(), 10_000);
        ack(&mut c, 5 * MSS);
        assert_eq!(c.cwnd(), 11_000);
    }

    #[test]
    fn a_timeout_ends_fast_recovery() {
        let mut c = reno();
        c.on_enter_recovery(20_000);
        c.on_timeout(20_000);
        c.on_duplicate_ack();
        c.on_partial_ack(5_000);
        c.on_exit_recovery(0);
        assert_eq!(c.cwnd(), MSS);
    }

    #[test]
    fn after_idleness_the_window_is_at_most_the_initial_one() {
        let mut c = reno();
        (0..5).for_each(|_| ack(&mut c, 8 * MSS));
        c.on_idle();
        assert_eq!(c.cwnd(), 10_000);
        c.on_timeout(4_000);
        c.on_idle();
        assert_eq!(c.cwnd(), MSS);
    }

    #[test]
    fn a_new_segment_size_counts_from_then_on() {
        let mut c = reno();
        c.on_timeout(20_000);
        c.on_mss(1_400);
        assert_eq!(c.cwnd(), 1_400);
        ack(&mut c, 10_000);
        assert_eq!(c.cwnd(), 2_800);
        c.on_mss(0);
    }

    #[test]
    fn no_amount_overflows() {
        let mut c = reno();
        for _ in 0..40 {
            c.cwnd = u32::MAX - 5;
            ack(&mut c, u32::MAX);
            c.on_enter_recovery(u32::MAX);
            c.cwnd = u32::MAX;
            c.on_duplicate_ack();
            c.on_exit_recovery(u32::MAX);
            c.cwnd = u32::MAX;
            ack(&mut c, u32::MAX);
        }
    }
}
