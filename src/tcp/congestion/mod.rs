//! How much may be in flight, and how fast it may go.
//!
//! Owns the congestion window, the slow start threshold and the pacing rate. Refuses to know which
//! segments were lost and how that was found out: recovery tells it. One enum, matched at each fact:
//! no pointer to follow on the hot path, and a large algorithm boxes its state.
//!
//! # The facts, in the order in which they come
//!
//! | when | fact |
//! |---|---|
//! | a segment goes out, new or again | [`Controller::on_sent`] |
//! | a segment is taken for lost | [`Controller::on_lost`], before the ACK that told of it |
//! | the first loss of an episode | [`Controller::on_enter_recovery`] |
//! | an ACK delivers or loses something | [`Controller::on_ack`], in recovery too |
//! | all that was in flight at the episode's start is repaired | [`Controller::on_exit_recovery`] |
//! | the retransmission timer expires | [`Controller::on_timeout`] |
//! | the last reduction was a mistake | [`Controller::on_undo`] |
//! | ECN says congestion, once a round trip | [`Controller::on_congestion_echo`] |

mod bbr;
mod cubic;
mod dctcp;
mod hystart;
mod hystart_classic;
#[cfg(test)]
mod model;
mod newreno;
#[cfg(test)]
mod steady;
mod window;

use super::SeqNum;
use super::rate::{Loss, RateSample};
use crate::time::{Duration, Instant};
use bbr::Bbr;
pub(super) use bbr::send_quantum;
use cubic::Cubic;
use dctcp::Dctcp;
pub use hystart::SlowStartExit;
use newreno::NewReno;
use window::Window;

/// The congestion controls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 5681 and RFC 6582.
    NewReno,
    /// RFC 9438.
    #[default]
    Cubic,
    /// BBR version 3 (draft-ietf-ccwg-bbr): paces by a model of the path.
    Bbr,
    /// RFC 8257, for networks that mark at a shallow threshold and where all hosts use it.
    Dctcp,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NewReno, Self::Cubic, Self::Bbr, Self::Dctcp];

    /// Its name, as the command line and the tables have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => "newreno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Dctcp => "dctcp",
        }
    }
}

/// What an ACK that delivers or loses something tells. All amounts in bytes, SYN and FIN not counted.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Now.
    pub now: Instant,
    /// Newly acknowledged cumulatively.
    pub bytes: u32,
    /// Newly acknowledged, cumulatively or selectively.
    pub delivered: u32,
    /// Newly taken for lost.
    pub lost: u32,
    /// In flight before this ACK: sent, neither acknowledged nor lost.
    pub prior_in_flight: u32,
    /// The most that was in flight within the last window.
    pub used: u32,
    /// The most that it may add to the window in slow start (L of RFC 3465 §2.2).
    pub slow_start_max: u32,
    /// What ends the first slow start.
    pub slow_start_exit: SlowStartExit,
    /// In flight after it.
    pub in_flight: u32,
    /// The round trip that this ACK measured, if it did.
    pub rtt: Option<Duration>,
    /// The delivery rate that this ACK measured, if it did.
    pub rate: Option<RateSample>,
    /// Whether cwnd, not the program or the peer's window, has limited the flight since the last ACK.
    pub cwnd_limited: bool,
    /// How much of `delivered` the peer says arrived marked (ECN).
    pub ce: u32,
    /// SND.UNA after it.
    pub snd_una: SeqNum,
    /// SND.NXT.
    pub snd_nxt: SeqNum,
}

impl Ack {
    /// What the window may grow by in answer to it: of what is acknowledged now, some may have been told
    /// before, by SACK or by duplicate ACKs, and have let other segments go already (RFC 3042).
    pub(super) fn growth(&self) -> u32 {
        self.bytes.min(self.delivered)
    }
}

/// A segment of data goes out, new or again.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Now.
    pub now: Instant,
    /// Its bytes.
    pub bytes: u32,
    /// In flight with it.
    pub in_flight: u32,
    /// Whether the program, not cwnd, limits what is in flight.
    pub app_limited: bool,
}

/// The congestion control of one connection. All amounts in bytes, rates in bytes a second.
#[derive(Clone, Debug)]
pub struct Controller(Kind);

/// The window, and what the algorithm keeps beside it: a pointer at most, so that all take 24 bytes.
#[derive(Clone, Debug)]
enum Kind {
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
    /// For a connection that sends segments of `mss` bytes and starts with `initial_window` of them (10:
    /// RFC 6928; 1 after a lost SYN or SYN-ACK: RFC 5681 §3.1).
    pub fn new(algorithm: Algorithm, mss: u16, initial_window: u8) -> Self {
        Self(Kind::new(algorithm, Window::new(mss, initial_window)))
    }

    /// Becomes another: cwnd stays, what was learned of the path goes. A model's window is no reason to
    /// start slowly: it becomes the threshold.
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

    /// Which it is.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Kind::NewReno(..) => Algorithm::NewReno,
            Kind::Cubic(..) => Algorithm::Cubic,
            Kind::Dctcp(..) => Algorithm::Dctcp,
            Kind::Bbr(..) => Algorithm::Bbr,
        }
    }

    /// The congestion window.
    #[inline]
    pub const fn cwnd(&self) -> u32 {
        self.window().cwnd()
    }

    /// The slow start threshold; `u32::MAX` before the first loss, and where there is none.
    #[inline]
    pub const fn ssthresh(&self) -> u32 {
        self.window().ssthresh()
    }

    /// How fast segments may leave on a path of that smoothed round trip; `None` if they need no pacing.
    /// Some algorithms pace always, the others if `paced`.
    #[inline]
    pub fn pacing_rate(&self, srtt: Option<Duration>, paced: bool) -> Option<u64> {
        match &self.0 {
            Kind::Bbr(window, c) => Some(c.pacing_rate(window, srtt)),
            _ if paced => self.window().pacing_rate(srtt?),
            _ => None,
        }
    }

    /// Whether recovery itself sets cwnd while it lasts, by proportional rate reduction (RFC 9937);
    /// otherwise the algorithm does, from what [`Self::on_ack`] tells.
    #[inline]
    pub const fn uses_prr(&self) -> bool {
        !matches!(self.0, Kind::Bbr(..))
    }

    /// Whether the delivery rate must be measured: segments stamped, samples taken, losses told.
    #[inline]
    pub const fn measures_rate(&self) -> bool {
        matches!(self.0, Kind::Bbr(..))
    }

    /// Recovery's own choice of cwnd while it lasts, if [`Self::uses_prr`].
    pub fn set_cwnd(&mut self, bytes: u32) {
        if self.uses_prr() {
            self.window_mut().set_cwnd(bytes);
        }
    }

    /// Whether the flight comes down by proportional rate reduction after an echo of congestion too: those that
    /// answer marks by a share of the window do so by themselves.
    pub const fn shrinks_by_prr(&self) -> bool {
        matches!(self.0, Kind::NewReno(..) | Kind::Cubic(..))
    }

    /// The choice of cwnd while it comes down after such an echo.
    pub fn shrink_to(&mut self, bytes: u32) {
        if self.shrinks_by_prr() {
            self.window_mut().shrink_to(bytes);
        }
    }

    /// A segment of data goes out, new or again.
    #[inline]
    pub fn on_sent(&mut self, sent: &Sent) {
        if let Kind::Bbr(window, c) = &mut self.0 {
            c.on_sent(window, sent);
        }
    }

    /// A segment is taken for lost.
    #[inline]
    pub fn on_lost(&mut self, loss: &Loss) {
        if let Kind::Bbr(window, c) = &mut self.0 {
            c.on_lost(window, loss);
        }
    }

    /// An ACK that delivers or loses something, in recovery too.
    #[inline]
    pub fn on_ack(&mut self, ack: &Ack) {
        match &mut self.0 {
            Kind::NewReno(window, c) => c.on_ack(window, ack),
            Kind::Cubic(window, c) => c.on_ack(window, ack),
            Kind::Dctcp(window, c) => c.on_ack(window, ack),
            Kind::Bbr(window, c) => c.on_ack(window, ack),
        }
    }

    /// A loss was found, the first of an episode that ends with [`Self::on_exit_recovery`] or
    /// [`Self::on_timeout`]; `in_flight` is FlightSize (RFC 5681 §2) at that time.
    pub fn on_enter_recovery(&mut self, in_flight: u32, _snd_nxt: SeqNum, _now: Instant) {
        if let Kind::Bbr(window, c) = &mut self.0 {
            return c.on_enter_recovery(window);
        }
        let ssthresh = self.ssthresh_after_loss(in_flight);
        self.window_mut().on_enter_recovery(ssthresh);
    }

    /// All that was in flight at the start of recovery is acknowledged; `in_flight` is what is now.
    pub fn on_exit_recovery(&mut self, in_flight: u32, _now: Instant) {
        match &mut self.0 {
            Kind::Bbr(window, c) => c.on_exit_recovery(window),
            _ => self.window_mut().on_exit_recovery(in_flight),
        }
    }

    /// The retransmission timer expired; `in_flight` is all that was sent and not acknowledged.
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

    /// The last reduction was a mistake: nothing was lost (RFC 4015, RFC 5682, D-SACK).
    pub fn on_undo(&mut self) {
        match &mut self.0 {
            Kind::NewReno(window, c) => c.on_undo(window),
            Kind::Cubic(window, c) => c.on_undo(window),
            Kind::Dctcp(window, c) => c.on_undo(window),
            Kind::Bbr(window, c) => c.on_undo(window),
        }
    }

    /// The same after a timeout, RFC 4015 §3.1 (9): `ssthresh` is what was in flight before it, or the
    /// threshold if that was more, and no more than `cwnd` goes at once.
    pub fn on_undo_of_timeout(&mut self, cwnd: u32, ssthresh: u32) {
        self.on_undo();
        if self.uses_prr() {
            self.window_mut().on_undo_of_timeout(cwnd, ssthresh);
        }
    }

    /// ECN says congestion (RFC 3168 §6.1.2); told at most once a round trip. `in_flight` is FlightSize.
    pub fn on_congestion_echo(&mut self, in_flight: u32, _now: Instant) {
        let ssthresh = match &mut self.0 {
            Kind::NewReno(window, c) => c.ssthresh_after_echo(window, in_flight),
            Kind::Cubic(window, c) => c.ssthresh_after_echo(window),
            Kind::Dctcp(window, c) => return c.on_mark(window),
            Kind::Bbr(window, c) => return c.on_congestion_echo(window, in_flight),
        };
        self.window_mut().on_echo(ssthresh);
    }

    /// Nothing was in flight, and sending begins again: the time until now was none in which the window was used.
    #[inline]
    pub fn on_rested(&mut self) {
        if let Kind::Cubic(_, c) = &mut self.0 {
            c.pause();
        }
    }

    /// Nothing was sent for `idle`, longer than `rto`, and sending begins again.
    pub fn on_idle(&mut self, _idle: Duration, _rto: Duration) {
        match &mut self.0 {
            Kind::NewReno(window, c) => c.on_idle(window),
            Kind::Cubic(window, c) => c.on_idle(window),
            Kind::Dctcp(window, c) => c.on_idle(window),
            // It paces what it sends after a silence, and keeps its model (draft-ietf-ccwg-bbr §5.4).
            Kind::Bbr(..) => {}
        }
    }

    /// The path's MTU changed what a segment carries.
    pub fn on_mss(&mut self, mss: u16) {
        self.window_mut().on_mss(mss);
    }

    /// What the algorithm leaves of `in_flight` after a loss; it notes that there was one.
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

/// The initial window in bytes for `segments` of `mss`. RFC 6928 §2 says for 10 of them
/// `IW = min (10*MSS, max (2*MSS, 14600))`; other counts take the same form.
const fn initial_window(mss: u32, segments: u8) -> u32 {
    let segments = if segments == 0 { 1 } else { segments as u32 };
    let (all, two) = (segments * mss, 2 * mss);
    let bound = if two > segments * 1460 { two } else { segments * 1460 };
    if all < bound { all } else { bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_takes_24_bytes_at_most() {
        assert!(size_of::<Controller>() <= 24);
    }

    #[test]
    fn another_algorithm_takes_over_the_window() {
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
            "no slow start from a model's window"
        );
    }

    #[test]
    fn only_bbr_paces_unless_all_shall() {
        // As Linux: twice the window a round trip in slow start, a fifth more after it.
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

    #[test]
    fn the_initial_window_is_that_of_rfc_6928() {
        assert_eq!(initial_window(1460, 10), 14_600);
        assert_eq!(initial_window(536, 10), 5_360);
        assert_eq!(initial_window(8960, 10), 17_920);
        assert_eq!(initial_window(1460, 1), 1_460);
        assert_eq!(initial_window(1460, 0), 1_460);
    }
}
