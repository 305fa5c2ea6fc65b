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

mod cubic;
#[cfg(test)]
mod model;
mod newreno;
mod window;

use super::SeqNum;
use super::rate::{Loss, RateSample};
use crate::time::{Duration, Instant};
use cubic::Cubic;
use newreno::NewReno;
use window::Window;

/// The congestion controls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 5681 and RFC 6582.
    #[default]
    NewReno,
    /// RFC 9438.
    Cubic,
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
pub enum Controller {
    /// RFC 5681 and RFC 6582.
    NewReno(NewReno),
    /// RFC 9438.
    Cubic(Cubic),
}

impl Controller {
    /// For a connection that sends segments of `mss` bytes and starts with `initial_window` of them (10:
    /// RFC 6928; 1 after a lost SYN or SYN-ACK: RFC 5681 §3.1).
    pub fn new(algorithm: Algorithm, mss: u16, initial_window: u8) -> Self {
        match algorithm {
            Algorithm::NewReno => Self::NewReno(NewReno::new(mss, initial_window)),
            Algorithm::Cubic => Self::Cubic(Cubic::new(mss, initial_window)),
        }
    }

    /// The congestion window.
    #[inline]
    pub const fn cwnd(&self) -> u32 {
        self.window().cwnd()
    }

    /// The slow start threshold; `u32::MAX` before the first loss.
    #[inline]
    pub const fn ssthresh(&self) -> u32 {
        self.window().ssthresh()
    }

    /// How fast segments may leave, on a path of that smoothed round trip; `None` if they need no pacing.
    #[inline]
    pub const fn pacing_rate(&self, _srtt: Option<Duration>) -> Option<u64> {
        None
    }

    /// Whether recovery itself sets cwnd while it lasts, by proportional rate reduction (RFC 9937);
    /// otherwise the algorithm does, from what [`Self::on_ack`] tells.
    #[inline]
    pub const fn uses_prr(&self) -> bool {
        true
    }

    /// Recovery's own choice of cwnd while it lasts, if [`Self::uses_prr`].
    pub fn set_cwnd(&mut self, bytes: u32) {
        self.window_mut().set_cwnd(bytes);
    }

    /// A segment of data goes out, new or again.
    #[inline]
    pub const fn on_sent(&mut self, _sent: &Sent) {}

    /// A segment is taken for lost.
    pub const fn on_lost(&mut self, _loss: &Loss) {}

    /// An ACK that delivers or loses something, in recovery too.
    #[inline]
    pub fn on_ack(&mut self, ack: &Ack) {
        match self {
            Self::NewReno(c) => c.on_ack(ack),
            Self::Cubic(c) => c.on_ack(ack),
        }
    }

    /// A loss was found, the first of an episode that ends with [`Self::on_exit_recovery`] or
    /// [`Self::on_timeout`]; `in_flight` is FlightSize (RFC 5681 §2) at that time.
    pub fn on_enter_recovery(&mut self, in_flight: u32, _snd_nxt: SeqNum, _now: Instant) {
        let ssthresh = self.ssthresh_after_loss(in_flight);
        self.window_mut().on_enter_recovery(ssthresh);
    }

    /// All that was in flight at the start of recovery is acknowledged; `in_flight` is what is now.
    pub fn on_exit_recovery(&mut self, in_flight: u32, _now: Instant) {
        self.window_mut().on_exit_recovery(in_flight);
    }

    /// The retransmission timer expired; `in_flight` is all that was sent and not acknowledged.
    pub fn on_timeout(&mut self, in_flight: u32, _now: Instant) {
        if self.window().timed_out() {
            let held = self.ssthresh();
            self.window_mut().on_timeout(held);
            return;
        }
        let ssthresh = self.ssthresh_after_loss(in_flight);
        if let Self::Cubic(c) = self {
            c.forget_plateau();
        }
        self.window_mut().on_timeout(ssthresh);
    }

    /// The last reduction was a mistake: nothing was lost (RFC 4015, RFC 5682, D-SACK).
    pub const fn on_undo(&mut self) {}

    /// ECN says congestion (RFC 3168 §6.1.2); told at most once a round trip.
    pub const fn on_congestion_echo(&mut self, _in_flight: u32, _now: Instant) {}

    /// Nothing was sent for `idle`, longer than `rto`, and sending begins again.
    pub fn on_idle(&mut self, _idle: Duration, _rto: Duration) {
        match self {
            Self::NewReno(c) => c.on_idle(),
            Self::Cubic(c) => c.on_idle(),
        }
    }

    /// The path's MTU changed what a segment carries.
    pub fn on_mss(&mut self, mss: u16) {
        self.window_mut().on_mss(mss);
    }

    /// What the algorithm leaves of `in_flight` after a loss; it notes that there was one.
    fn ssthresh_after_loss(&mut self, in_flight: u32) -> u32 {
        match self {
            Self::NewReno(c) => c.ssthresh_after_loss(in_flight),
            Self::Cubic(c) => c.ssthresh_after_loss(in_flight),
        }
    }

    #[inline]
    const fn window(&self) -> &Window {
        match self {
            Self::NewReno(c) => &c.window,
            Self::Cubic(c) => &c.window,
        }
    }

    #[inline]
    const fn window_mut(&mut self) -> &mut Window {
        match self {
            Self::NewReno(c) => &mut c.window,
            Self::Cubic(c) => &mut c.window,
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
    fn the_initial_window_is_that_of_rfc_6928() {
        assert_eq!(initial_window(1460, 10), 14_600);
        assert_eq!(initial_window(536, 10), 5_360);
        assert_eq!(initial_window(8960, 10), 17_920);
        assert_eq!(initial_window(1460, 1), 1_460);
        assert_eq!(initial_window(1460, 0), 1_460);
    }
}
