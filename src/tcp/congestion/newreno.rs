//! NewReno (RFC 5681, RFC 6582): half the flight after a loss, one segment more each round trip.
//!
//! Owns the count of bytes towards the next segment. Refuses to know how losses are repaired: that is
//! the window's.

use super::Ack;
use super::window::{Growth, Window};

/// The state of the algorithm: 16 bytes.
#[derive(Clone, Debug)]
pub struct NewReno {
    pub(super) window: Window,
    /// Bytes acknowledged since cwnd last grew in congestion avoidance.
    acked: u32,
}

impl NewReno {
    pub(super) fn new(mss: u16, segments: u8) -> Self {
        Self { window: Window::new(mss, segments), acked: 0 }
    }

    #[inline]
    pub(super) fn on_ack(&mut self, ack: &Ack) {
        if self.window.on_ack(ack) == Growth::Avoidance {
            self.avoid_congestion(ack.bytes);
        }
    }

    /// RFC 3465 §2.1: one SMSS for each cwnd of acknowledged bytes.
    fn avoid_congestion(&mut self, acked: u32) {
        self.acked = self.acked.saturating_add(acked);
        if self.acked >= self.window.cwnd() {
            self.acked -= self.window.cwnd();
            self.window.grow(self.window.smss());
        }
    }

    /// RFC 5681 equation (4): ssthresh = max(FlightSize / 2, 2*SMSS).
    pub(super) fn ssthresh_after_loss(&mut self, in_flight: u32) -> u32 {
        self.acked = 0;
        in_flight / 2
    }

    pub(super) fn on_idle(&mut self) {
        self.window.on_idle();
        self.acked = 0;
    }
}

#[cfg(test)]
mod tests {
    use crate::tcp::SeqNum;
    use crate::tcp::congestion::{Algorithm, Controller, model};
    use crate::time::{Duration, Instant};

    const MSS: u32 = 1000;

    fn reno() -> Controller {
        Controller::new(Algorithm::NewReno, MSS as u16, 10)
    }

    /// An ACK of `bytes` while the whole window is in flight.
    fn ack(c: &mut Controller, bytes: u32) {
        let in_flight = c.cwnd();
        c.on_ack(&model::ack(bytes, in_flight, None, Instant::ZERO));
    }

    /// A recovery begun with `in_flight` and ended with `left` in flight.
    fn recovered(in_flight: u32, left: u32) -> Controller {
        let mut c = reno();
        c.on_enter_recovery(in_flight, SeqNum(0), Instant::ZERO);
        c.on_exit_recovery(left, Instant::ZERO);
        c
    }

    #[test]
    fn slow_start_doubles_the_window_each_round_trip() {
        let mut c = reno();
        for expected in [20_000, 40_000, 80_000] {
            (0..c.cwnd() / (2 * MSS)).for_each(|_| ack(&mut c, 2 * MSS));
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
        c.on_ack(&model::ack(MSS, 4_999, None, Instant::ZERO));
        assert_eq!(c.cwnd(), 10_000);
        c.on_ack(&model::ack(MSS, 5_000, None, Instant::ZERO));
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
    fn a_loss_halves_the_window_and_recovery_has_it_until_it_ends() {
        // RFC 5681 equation (4)
        let mut c = reno();
        c.on_enter_recovery(20_000, SeqNum(0), Instant::ZERO);
        assert_eq!((c.cwnd(), c.ssthresh()), (10_000, 10_000));
        ack(&mut c, MSS);
        assert_eq!(c.cwnd(), 10_000, "no growth meanwhile");
        c.set_cwnd(13_000);
        assert_eq!(c.cwnd(), 13_000);
        c.set_cwnd(0);
        assert_eq!(c.cwnd(), MSS);
        c.on_exit_recovery(20_000, Instant::ZERO);
        assert_eq!(c.cwnd(), 10_000);
        c.set_cwnd(13_000);
        assert_eq!(c.cwnd(), 10_000, "outside recovery nobody else sets it");
    }

    #[test]
    fn the_window_after_recovery_allows_no_burst() {
        assert_eq!(recovered(20_000, 3_000).cwnd(), 4_000);
        assert_eq!(recovered(20_000, 0).cwnd(), 2_000);
    }

    #[test]
    fn the_threshold_never_falls_below_two_segments() {
        let mut c = reno();
        c.on_enter_recovery(1_000, SeqNum(0), Instant::ZERO);
        assert_eq!(c.ssthresh(), 2 * MSS);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_the_next_of_the_same_keeps_the_threshold() {
        let mut c = reno();
        c.on_timeout(20_000, Instant::ZERO);
        assert_eq!((c.cwnd(), c.ssthresh()), (MSS, 10_000));
        c.on_timeout(MSS, Instant::ZERO);
        assert_eq!((c.cwnd(), c.ssthresh()), (MSS, 10_000));
        ack(&mut c, MSS);
        c.on_timeout(8_000, Instant::ZERO);
        assert_eq!(c.ssthresh(), 4_000);
    }

    #[test]
    fn slow_start_after_a_timeout_adds_one_segment_an_ack_up_to_the_threshold() {
        let mut c = reno();
        c.on_timeout(20_000, Instant::ZERO);
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
        c.on_enter_recovery(20_000, SeqNum(0), Instant::ZERO);
        c.on_timeout(20_000, Instant::ZERO);
        c.set_cwnd(5_000);
        c.on_exit_recovery(0, Instant::ZERO);
        assert_eq!(c.cwnd(), MSS);
    }

    #[test]
    fn after_idleness_the_window_is_at_most_the_initial_one() {
        let mut c = reno();
        (0..5).for_each(|_| ack(&mut c, 8 * MSS));
        c.on_idle(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(c.cwnd(), 10_000);
        c.on_timeout(4_000, Instant::ZERO);
        c.on_idle(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(c.cwnd(), MSS);
    }

    #[test]
    fn a_new_segment_size_counts_from_then_on() {
        let mut c = reno();
        c.on_timeout(20_000, Instant::ZERO);
        c.on_mss(1_400);
        assert_eq!(c.cwnd(), 1_400);
        ack(&mut c, 10_000);
        assert_eq!(c.cwnd(), 2_800);
        c.on_mss(0);
    }
}
