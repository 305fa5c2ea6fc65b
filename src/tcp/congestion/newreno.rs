//! NewReno (RFC 5681, RFC 6582): half the flight after a loss, one more segment per round trip.
//!
//! Owns the byte count towards the next segment, and the window to restore on undo. Refuses to know
//! loss recovery.

use super::facts::Ack;
use super::window::{Growth, Undo, Window};

/// RFC 5681 equation (4): fraction of the flight that remains after a loss.
const BETA: f64 = 0.5;

/// beta_ecn of RFC 8511 §3.1 for NewReno: a mark means a short queue, which half a window would
/// drain.
const BETA_ECN: f64 = 0.8;

/// State of the algorithm beside the window.
#[derive(Clone, Debug, Default)]
pub(super) struct NewReno {
    /// Allocated when slow start ends: short connections carry a null pointer.
    state: Option<Box<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// Bytes acknowledged since cwnd last grew in congestion avoidance.
    acked: u32,
    undo: Option<Undo>,
}

impl NewReno {
    #[inline]
    pub(super) fn on_ack(&mut self, window: &mut Window, ack: &Ack) {
        match window.on_ack(ack) {
            Growth::SlowStart => window.grow(window.slow_start_growth(ack)),
            Growth::Avoidance => self.avoid_congestion(window, ack.growth()),
            Growth::Done | Growth::Unused => {}
        }
    }

    /// RFC 3465 §2.1: one SMSS for each cwnd of acknowledged bytes.
    fn avoid_congestion(&mut self, window: &mut Window, acked: u32) {
        let state = self.state.get_or_insert_default();
        state.acked = state.acked.saturating_add(acked);
        if state.acked >= window.cwnd() {
            state.acked -= window.cwnd();
            window.grow(window.smss());
        }
    }

    /// RFC 5681 equation (4): ssthresh = max(FlightSize / 2, 2*SMSS). Of FlightSize, since an
    /// unused window is no measure (RFC 7661 §4.4.1).
    pub(super) fn ssthresh_after_loss(&mut self, window: &mut Window, in_flight: u32) -> u32 {
        self.note_reduction(window);
        (f64::from(in_flight) * BETA) as u32
    }

    /// RFC 8511 §3.1: ssthresh = max(FlightSize * beta_ecn, 2*SMSS) in congestion avoidance; in
    /// slow start a mark means a queue as long as at a loss.
    pub(super) fn ssthresh_after_echo(&mut self, window: &mut Window, in_flight: u32) -> u32 {
        let beta = if window.is_slow_start() { BETA } else { BETA_ECN };
        self.note_reduction(window);
        (f64::from(in_flight) * beta) as u32
    }

    fn note_reduction(&mut self, window: &mut Window) {
        let undo = window.before_reduction();
        **self.state.get_or_insert_default() = State { acked: 0, undo: Some(undo) };
    }

    pub(super) fn on_undo(&mut self, window: &mut Window) {
        if let Some(undo) = self.state.as_mut().and_then(|state| state.undo.take()) {
            window.on_undo(undo);
        }
    }

    pub(super) fn on_idle(&mut self, window: &mut Window) {
        window.on_idle();
        if let Some(state) = &mut self.state {
            state.acked = 0;
        }
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

    /// Acknowledges `bytes` while the whole window is in flight.
    fn ack(c: &mut Controller, bytes: u32) {
        let in_flight = c.cwnd();
        c.on_ack(&model::ack(bytes, in_flight, None, Instant::ZERO));
    }

    /// Returns a controller after a recovery that began with `in_flight` and ended with `left` in
    /// flight.
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
    fn an_ack_of_a_burst_adds_at_most_8_segments() {
        // RFC 9406 §4.3: L = 8 for a sender that does not pace.
        let mut c = reno();
        let burst = model::ack(10 * MSS, 10 * MSS, None, Instant::ZERO);
        c.on_ack(&super::Ack { slow_start_max: 8 * MSS, ..burst });
        assert_eq!(c.cwnd(), 18_000);
        ack(&mut c, 300);
        assert_eq!(c.cwnd(), 18_300);
    }

    #[test]
    fn bytes_reported_by_sack_are_counted_once() {
        // RFC 3465 §2.1 counts bytes; bytes that SACK reported before were already counted by
        // RFC 3042's segments.
        let mut c = reno();
        let late = model::ack(3 * MSS, 10 * MSS, None, Instant::ZERO);
        c.on_ack(&super::Ack { delivered: MSS, ..late });
        assert_eq!(c.cwnd(), 11_000);
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut c = reno();
        c.on_ack(&model::ack(MSS, 5_000, None, Instant::ZERO));
        assert_eq!(c.cwnd(), 10_000);
        c.on_ack(&model::ack(MSS, 5_001, None, Instant::ZERO));
        assert_eq!(c.cwnd(), 11_000);
    }

    #[test]
    fn congestion_avoidance_adds_one_segment_per_round_trip() {
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
    fn a_loss_halves_the_window_and_recovery_controls_it_until_its_end() {
        // RFC 5681 equation (4)
        let mut c = reno();
        c.on_enter_recovery(20_000, SeqNum(0), Instant::ZERO);
        assert_eq!((c.cwnd(), c.ssthresh()), (10_000, 10_000));
        ack(&mut c, MSS);
        assert_eq!(c.cwnd(), 10_000, "no growth in recovery");
        c.set_cwnd(13_000);
        assert_eq!(c.cwnd(), 13_000);
        c.set_cwnd(0);
        assert_eq!(c.cwnd(), MSS);
        c.on_exit_recovery(20_000, Instant::ZERO);
        assert_eq!(c.cwnd(), 10_000);
        c.set_cwnd(13_000);
        assert_eq!(c.cwnd(), 10_000, "ignored outside recovery");
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
    fn a_timeout_leaves_one_segment_and_a_repeated_timeout_keeps_ssthresh() {
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
    fn slow_start_after_a_timeout_adds_one_segment_per_ack_up_to_ssthresh() {
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
    fn after_an_idle_period_the_window_is_at_most_the_initial_one() {
        let mut c = reno();
        (0..5).for_each(|_| ack(&mut c, 8 * MSS));
        c.on_idle(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(c.cwnd(), 10_000);
        c.on_timeout(4_000, Instant::ZERO);
        c.on_idle(Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(c.cwnd(), MSS);
    }

    #[test]
    fn a_new_mss_applies_from_then_on() {
        let mut c = reno();
        c.on_timeout(20_000, Instant::ZERO);
        c.on_mss(1_400);
        assert_eq!(c.cwnd(), 1_400);
        ack(&mut c, 10_000);
        assert_eq!(c.cwnd(), 2_800);
        c.on_mss(0);
    }

    #[test]
    fn a_spurious_loss_is_undone() {
        // RFC 4015 §3.2: cwnd and ssthresh are what they were.
        let mut c = reno();
        c.on_enter_recovery(10_000, SeqNum(0), Instant::ZERO);
        c.on_exit_recovery(5_000, Instant::ZERO);
        c.on_undo();
        assert_eq!((c.cwnd(), c.ssthresh()), (10_000, u32::MAX));
        c.on_timeout(10_000, Instant::ZERO);
        c.on_undo();
        assert_eq!((c.cwnd(), c.ssthresh()), (10_000, u32::MAX));
        c.on_undo();
        assert_eq!(c.cwnd(), 10_000, "undone only once");
    }

    #[test]
    fn an_echo_of_congestion_leaves_four_fifths_in_congestion_avoidance_and_half_in_slow_start() {
        // RFC 8511 §3.1
        let mut c = recovered(40_000, 40_000);
        c.on_congestion_echo(20_000, Instant::ZERO);
        assert_eq!((c.cwnd(), c.ssthresh()), (16_000, 16_000));
        let mut c = reno();
        c.on_congestion_echo(10_000, Instant::ZERO);
        assert_eq!((c.cwnd(), c.ssthresh()), (5_000, 5_000));
    }

    #[test]
    fn echoes_shrink_the_window_down_to_one_segment() {
        // RFC 3168 §6.1.2, RFC 9438 §4.6
        let mut c = reno();
        for _ in 0..20 {
            let flight = c.cwnd();
            c.on_congestion_echo(flight, Instant::ZERO);
        }
        assert_eq!((c.cwnd(), c.ssthresh()), (MSS, 2 * MSS));
    }
}
