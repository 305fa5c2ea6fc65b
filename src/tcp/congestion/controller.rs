//! One enum of all algorithms, matched at each fact: the hot path follows no pointer, and a large
//! algorithm boxes its state.

use super::algorithm::Algorithm;
use super::bbr::Bbr;
use super::cubic::Cubic;
use super::dctcp::Dctcp;
use super::facts::{Ack, Sent};
use super::newreno::NewReno;
use super::window::Window;
use crate::tcp::SeqNum;
use crate::tcp::rate::Loss;
use crate::time::{Duration, Instant};

/// The congestion control of one connection. Amounts in bytes, rates in bytes per second.
#[derive(Clone, Debug)]
pub struct Controller(pub(super) Kind);

/// The window and the state of the algorithm: a pointer at most, so that every variant takes 24
/// bytes.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    NewReno(Window, NewReno),
    Cubic(Window, Cubic),
    Dctcp(Window, Dctcp),
    Bbr(Window, Bbr),
}

impl Kind {
    fn new(algorithm: Algorithm, window: Window) -> Self {
        match algorithm {
            Algorithm::NewReno => Self::NewReno(window, NewReno::default()),
            Algorithm::Cubic => Self::Cubic(window, Cubic::default()),
            Algorithm::Dctcp => Self::Dctcp(window, Dctcp::default()),
            Algorithm::Bbr => Self::Bbr(window, Bbr::default()),
        }
    }
}

impl Controller {
    /// Creates the control of a connection with segments of `mss` bytes and an initial window of
    /// `initial_window` segments (10: RFC 6928; 1 after a lost SYN or SYN-ACK: RFC 5681 §3.1).
    pub fn new(algorithm: Algorithm, mss: u16, initial_window: u8) -> Self {
        Self(Kind::new(algorithm, Window::new(mss, initial_window)))
    }

    /// Switches to another algorithm: keeps cwnd, drops what was learned of the path. The window of
    /// a model becomes the threshold, so that no slow start follows.
    pub fn switch(&mut self, algorithm: Algorithm) {
        if algorithm == self.algorithm() {
            return;
        }
        let by_model = !self.uses_prr();
        let mut window = self.window().clone();
        if by_model && window.cwnd() > window.initial() {
            window.end_slow_start();
        }
        self.0 = Kind::new(algorithm, window);
    }

    /// Returns the algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Kind::NewReno(..) => Algorithm::NewReno,
            Kind::Cubic(..) => Algorithm::Cubic,
            Kind::Dctcp(..) => Algorithm::Dctcp,
            Kind::Bbr(..) => Algorithm::Bbr,
        }
    }

    /// Returns the congestion window.
    #[inline]
    pub const fn cwnd(&self) -> u32 {
        self.window().cwnd()
    }

    /// Returns the slow start threshold; `u32::MAX` before the first loss, or if the algorithm has
    /// none.
    #[inline]
    pub const fn ssthresh(&self) -> u32 {
        self.window().ssthresh()
    }

    /// Returns the pacing rate on a path with the round trip `srtt`; `None` without pacing. BBR
    /// paces always, the others if `paced`.
    #[inline]
    pub fn pacing_rate(&self, srtt: Option<Duration>, paced: bool) -> Option<u64> {
        match &self.0 {
            Kind::Bbr(window, c) => Some(c.pacing_rate(window, srtt)),
            _ if paced => self.window().pacing_rate(srtt?),
            _ => None,
        }
    }

    /// Returns true if loss recovery sets cwnd while it lasts, by proportional rate reduction
    /// (RFC 9937); otherwise the algorithm does, in [`Self::on_ack`].
    #[inline]
    pub const fn uses_prr(&self) -> bool {
        !matches!(self.0, Kind::Bbr(..))
    }

    /// Returns true if the algorithm needs the delivery rate: stamped segments, samples, losses.
    #[inline]
    pub const fn measures_rate(&self) -> bool {
        matches!(self.0, Kind::Bbr(..))
    }

    /// Sets cwnd during loss recovery, if [`Self::uses_prr`].
    pub fn set_cwnd(&mut self, bytes: u32) {
        if self.uses_prr() {
            self.window_mut().set_cwnd(bytes);
        }
    }

    /// Returns true if the flight also shrinks by proportional rate reduction after an echo of
    /// congestion. Algorithms that answer marks with a share of the window shrink it themselves.
    pub const fn shrinks_by_prr(&self) -> bool {
        matches!(self.0, Kind::NewReno(..) | Kind::Cubic(..))
    }

    /// Sets cwnd while the flight shrinks after such an echo.
    pub fn shrink_to(&mut self, bytes: u32) {
        if self.shrinks_by_prr() {
            self.window_mut().shrink_to(bytes);
        }
    }

    /// Records that a data segment is sent, new or retransmitted.
    #[inline]
    pub fn on_sent(&mut self, sent: &Sent) {
        if let Kind::Bbr(window, c) = &mut self.0 {
            c.on_sent(window, sent);
        }
    }

    /// Records that a segment is marked lost.
    #[inline]
    pub fn on_lost(&mut self, loss: &Loss) {
        if let Kind::Bbr(window, c) = &mut self.0 {
            c.on_lost(window, loss);
        }
    }

    /// Processes an ACK that delivers something or reveals a loss, in recovery too.
    #[inline]
    pub fn on_ack(&mut self, ack: &Ack) {
        match &mut self.0 {
            Kind::NewReno(window, c) => c.on_ack(window, ack),
            Kind::Cubic(window, c) => c.on_ack(window, ack),
            Kind::Dctcp(window, c) => c.on_ack(window, ack),
            Kind::Bbr(window, c) => c.on_ack(window, ack),
        }
    }

    /// Enters recovery at the first loss of an episode, which ends with [`Self::on_exit_recovery`]
    /// or [`Self::on_timeout`]; `in_flight` is FlightSize (RFC 5681 §2) at that time.
    pub fn on_enter_recovery(&mut self, in_flight: u32, _snd_nxt: SeqNum, _now: Instant) {
        if let Kind::Bbr(window, c) = &mut self.0 {
            return c.on_enter_recovery(window);
        }
        let ssthresh = self.ssthresh_after_loss(in_flight);
        self.window_mut().on_enter_recovery(ssthresh);
    }

    /// Leaves recovery: all that was in flight at its start is acknowledged; `in_flight` is the
    /// present flight.
    pub fn on_exit_recovery(&mut self, in_flight: u32, _now: Instant) {
        match &mut self.0 {
            Kind::Bbr(window, c) => c.on_exit_recovery(window),
            _ => self.window_mut().on_exit_recovery(in_flight),
        }
    }

    /// The retransmission timer expired; `in_flight` is what was sent and not acknowledged.
    pub fn on_timeout(&mut self, in_flight: u32, _now: Instant) {
        if let Kind::Bbr(window, c) = &mut self.0 {
            return c.on_timeout(window);
        }
        if self.window().timed_out() {
            let held = self.ssthresh();
            self.window_mut().on_timeout(held);
            return;
        }
        let ssthresh = self.ssthresh_after_loss(in_flight);
        if let Kind::Cubic(_, c) = &mut self.0 {
            c.forget_plateau();
        }
        self.window_mut().on_timeout(ssthresh);
    }

    /// Undoes the last reduction, which was spurious: nothing was lost (RFC 4015, RFC 5682,
    /// D-SACK).
    pub fn on_undo(&mut self) {
        match &mut self.0 {
            Kind::NewReno(window, c) => c.on_undo(window),
            Kind::Cubic(window, c) => c.on_undo(window),
            Kind::Dctcp(window, c) => c.on_undo(window),
            Kind::Bbr(window, c) => c.on_undo(window),
        }
    }

    /// Undoes the reduction of a timeout, RFC 4015 §3.1 (9): `ssthresh` is the flight before it, or
    /// the threshold if that was larger; at most `cwnd` may be sent at once.
    pub fn on_undo_of_timeout(&mut self, cwnd: u32, ssthresh: u32) {
        self.on_undo();
        if self.uses_prr() {
            self.window_mut().on_undo_of_timeout(cwnd, ssthresh);
        }
    }

    /// Reacts to an ECN echo (RFC 3168 §6.1.2), at most once per round trip. `in_flight` is
    /// FlightSize.
    pub fn on_congestion_echo(&mut self, in_flight: u32, _now: Instant) {
        let ssthresh = match &mut self.0 {
            Kind::NewReno(window, c) => c.ssthresh_after_echo(window, in_flight),
            Kind::Cubic(window, c) => c.ssthresh_after_echo(window),
            Kind::Dctcp(window, c) => return c.on_mark(window),
            Kind::Bbr(window, c) => return c.on_congestion_echo(window, in_flight),
        };
        self.window_mut().on_echo(ssthresh);
    }

    /// Sending resumes after an empty flight: the pause does not count as use of the window.
    #[inline]
    pub fn on_rested(&mut self) {
        if let Kind::Cubic(_, c) = &mut self.0 {
            c.pause();
        }
    }

    /// Sending resumes after a pause `idle` that was longer than `rto`.
    pub fn on_idle(&mut self, _idle: Duration, _rto: Duration) {
        match &mut self.0 {
            Kind::NewReno(window, c) => c.on_idle(window),
            Kind::Cubic(window, c) => c.on_idle(window),
            Kind::Dctcp(window, c) => c.on_idle(window),
            // BBR paces after an idle period, and keeps its model (draft-ietf-ccwg-bbr §5.4).
            Kind::Bbr(..) => {}
        }
    }

    /// The segment size changed with the path MTU.
    pub fn on_mss(&mut self, mss: u16) {
        self.window_mut().on_mss(mss);
    }

    /// Returns the threshold after a loss with `in_flight`, and records the loss.
    fn ssthresh_after_loss(&mut self, in_flight: u32) -> u32 {
        match &mut self.0 {
            Kind::NewReno(window, c) => c.ssthresh_after_loss(window, in_flight),
            Kind::Cubic(window, c) => c.ssthresh_after_loss(window),
            Kind::Dctcp(window, c) => c.ssthresh_after_loss(window, in_flight),
            Kind::Bbr(window, _) => window.cwnd(),
        }
    }

    #[inline]
    const fn window(&self) -> &Window {
        match &self.0 {
            Kind::NewReno(window, _)
            | Kind::Cubic(window, _)
            | Kind::Dctcp(window, _)
            | Kind::Bbr(window, _) => window,
        }
    }

    #[inline]
    const fn window_mut(&mut self) -> &mut Window {
        match &mut self.0 {
            Kind::NewReno(window, _)
            | Kind::Cubic(window, _)
            | Kind::Dctcp(window, _)
            | Kind::Bbr(window, _) => window,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_takes_24_bytes_at_most() {
        assert!(size_of::<Controller>() <= 24);
    }

    #[test]
    fn switching_algorithms_keeps_the_window() {
        let mut c = Controller::new(Algorithm::NewReno, 1000, 10);
        c.on_enter_recovery(56_000, SeqNum(0), Instant::ZERO);
        c.on_exit_recovery(40_000, Instant::ZERO);
        c.switch(Algorithm::NewReno);
        assert_eq!((c.algorithm(), c.cwnd(), c.ssthresh()), (Algorithm::NewReno, 28_000, 28_000));
        c.switch(Algorithm::Bbr);
        assert_eq!((c.algorithm(), c.cwnd(), c.uses_prr()), (Algorithm::Bbr, 28_000, false));
        c.switch(Algorithm::Cubic);
        assert_eq!(
            (c.cwnd(), c.ssthresh()),
            (28_000, 28_000),
            "no slow start after the window of a model"
        );
    }

    #[test]
    fn only_bbr_paces_unless_pacing_is_on() {
        // As in Linux: twice the window per round trip in slow start, 1.2 times after it.
        let srtt = Some(Duration::from_millis(100));
        for algorithm in Algorithm::ALL {
            let mut c = Controller::new(algorithm, 1000, 10);
            assert_eq!(c.pacing_rate(srtt, false).is_some(), algorithm == Algorithm::Bbr);
            if algorithm != Algorithm::Bbr {
                assert_eq!(c.pacing_rate(srtt, true), Some(200_000));
                c.on_enter_recovery(20_000, SeqNum(0), Instant::ZERO);
                assert_eq!(c.pacing_rate(srtt, true), Some(u64::from(c.cwnd()) * 12));
            }
        }
    }
}
