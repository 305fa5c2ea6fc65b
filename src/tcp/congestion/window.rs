//! The window that loss-based algorithms share: slow start, fast recovery and the loss window (RFC 5681,
//! RFC 6582), counting bytes (RFC 3465).
//!
//! Owns cwnd, ssthresh and the kind of repair under way. Refuses to know how far a loss reduces the
//! threshold and how the window grows in congestion avoidance: that is where algorithms differ.

use super::{Ack, initial_window};

/// Segments that one ACK may add in slow start. RFC 3465 §2.2 allows 2 and RFC 9406 §4.3 allows 8 to a
/// sender that does not pace: peers that answer a burst with one ACK would be held to a crawl by less,
/// and a burst of more overruns small queues.
const SLOW_START_SEGMENTS_AN_ACK: u32 = 8;

/// Twelve bytes of state; amounts in bytes.
#[derive(Clone, Debug)]
pub(super) struct Window {
    cwnd: u32,
    ssthresh: u32,
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

/// What an ACK asks of the algorithm once the window has dealt with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Growth {
    /// Nothing: slow start took it, or recovery goes on.
    Done,
    /// Nothing: too little of the window was in use for the ACK to tell anything about the path.
    Unused,
    /// Grow as in congestion avoidance.
    Avoidance,
}

impl Window {
    pub(super) fn new(mss: u16, segments: u8) -> Self {
        let mss = mss.max(1);
        Self {
            cwnd: initial_window(u32::from(mss), segments),
            // RFC 5681 §3.1: "The initial value of ssthresh SHOULD be set arbitrarily high".
            ssthresh: u32::MAX,
            mss,
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
    pub(super) const fn smss(&self) -> u32 {
        self.mss as u32
    }

    pub(super) fn grow(&mut self, bytes: u32) {
        self.cwnd = self.cwnd.saturating_add(bytes);
    }

    #[inline]
    pub(super) fn on_ack(&mut self, ack: &Ack) -> Growth {
        if self.episode == Episode::TimedOut {
            self.episode = Episode::Restarting;
        }
        if self.episode == Episode::Recovery {
            return Growth::Done;
        }
        // RFC 7661 §4.3: the window is validated while at least half of it is used; beyond that its size
        // would say nothing about the path.
        if !ack.cwnd_limited && ack.prior_in_flight < self.cwnd / 2 {
            return Growth::Unused;
        }
        if self.cwnd < self.ssthresh {
            self.slow_start(ack.bytes);
            return Growth::Done;
        }
        self.episode = Episode::Open;
        Growth::Avoidance
    }

    /// RFC 5681 §3.1 with RFC 3465 §2.2: cwnd += min(N, L*SMSS).
    fn slow_start(&mut self, acked: u32) {
        // RFC 3465 §2.3: after a timeout an ACK may cover what had arrived before it and says nothing of
        // what leaves the network now, so L is one SMSS.
        let segments =
            if self.episode == Episode::Restarting { 1 } else { SLOW_START_SEGMENTS_AN_ACK };
        self.grow(acked.min(segments * self.smss()));
    }

    /// RFC 5681 equation (4): never below 2*SMSS.
    fn set_ssthresh(&mut self, ssthresh: u32) {
        self.ssthresh = ssthresh.max(2 * self.smss());
    }

    pub(super) fn on_enter_recovery(&mut self, ssthresh: u32) {
        self.set_ssthresh(ssthresh);
        self.cwnd = self.ssthresh;
        self.episode = Episode::Recovery;
    }

    /// Recovery sends as it sees fit while it lasts.
    pub(super) fn set_cwnd(&mut self, bytes: u32) {
        if self.episode == Episode::Recovery {
            self.cwnd = bytes.max(self.smss());
        }
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

    pub(super) fn on_timeout(&mut self, ssthresh: u32) {
        // RFC 5681 §3.1: when the same segment times out again, "the value of ssthresh is held constant".
        if !self.timed_out() {
            self.set_ssthresh(ssthresh);
        }
        // RFC 5681 §3.1: cwnd becomes LW, "1 full-sized segment (regardless of the value of IW)".
        self.cwnd = self.smss();
        self.episode = Episode::TimedOut;
    }

    /// Whether nothing was acknowledged since the last timeout.
    pub(super) fn timed_out(&self) -> bool {
        self.episode == Episode::TimedOut
    }

    pub(super) fn on_idle(&mut self) {
        // RFC 5681 §4.1: RW = min(IW, cwnd).
        self.cwnd = self.cwnd.min(initial_window(self.smss(), self.initial_window));
    }

    pub(super) fn on_mss(&mut self, mss: u16) {
        self.mss = mss.max(1);
        self.cwnd = self.cwnd.max(self.smss());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::congestion::model;
    use crate::time::Instant;

    #[test]
    fn a_window_takes_12_bytes() {
        assert_eq!(size_of::<Window>(), 12);
    }

    #[test]
    fn no_amount_overflows() {
        let mut window = Window::new(u16::MAX, u8::MAX);
        let ack = model::ack(u32::MAX, u32::MAX, None, Instant::ZERO);
        for _ in 0..10_000 {
            let _ = window.on_ack(&ack);
        }
        assert_eq!(window.cwnd(), u32::MAX);
        window.on_enter_recovery(u32::MAX);
        assert_eq!(window.cwnd(), u32::MAX);
        window.set_cwnd(0);
        window.on_exit_recovery(u32::MAX);
        window.on_timeout(u32::MAX);
        window.on_mss(0);
        assert_eq!((window.smss(), window.ssthresh()), (1, u32::MAX));
    }
}
