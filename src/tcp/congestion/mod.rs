//! How much may be in flight.
//!
//! Owns the congestion window and the slow start threshold. Refuses to know sequence numbers, which
//! segments were lost and how that was found out: recovery tells it. One enum, matched at each fact:
//! no pointer to follow on the hot path, and a large algorithm may box its state.

mod cubic;
mod newreno;
mod window;

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

/// What an ACK that advances SND.UNA outside recovery tells.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// Bytes newly acknowledged.
    pub bytes: u32,
    /// Bytes in flight before this ACK: a window that was not used is not grown.
    pub in_flight: u32,
    /// The round trip that this ACK measured, if it did.
    pub rtt: Option<Duration>,
    /// Now.
    pub now: Instant,
}

/// The congestion control of one connection. All amounts in bytes.
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

    /// SND.UNA advanced, and no recovery is under way.
    #[inline]
    pub fn on_ack(&mut self, ack: Ack) {
        match self {
            Self::NewReno(c) => c.on_ack(&ack),
            Self::Cubic(c) => c.on_ack(&ack),
        }
    }

    /// A loss was found by duplicate ACKs; `in_flight` is FlightSize at that time. Ends with
    /// [`Self::on_exit_recovery`] or [`Self::on_timeout`].
    pub fn on_enter_recovery(&mut self, in_flight: u32, _now: Instant) {
        let ssthresh = self.ssthresh_after_loss(in_flight);
        self.window_mut().on_enter_recovery(ssthresh);
    }

    /// One more duplicate ACK during recovery.
    pub fn on_duplicate_ack(&mut self) {
        self.window_mut().on_duplicate_ack();
    }

    /// During recovery `acked` bytes were acknowledged, but not all that was in flight at its start.
    pub fn on_partial_ack(&mut self, acked: u32) {
        self.window_mut().on_partial_ack(acked);
    }

    /// All that was in flight at the start of recovery is acknowledged; `in_flight` is what is now.
    pub fn on_exit_recovery(&mut self, in_flight: u32, _now: Instant) {
        self.window_mut().on_exit_recovery(in_flight);
    }

    /// The retransmission timer expired; `in_flight` is all that was sent and not acknowledged, before
    /// SND.NXT is taken back.
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

    /// Nothing was sent for a retransmission timeout, and sending begins again.
    pub fn on_idle(&mut self) {
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
