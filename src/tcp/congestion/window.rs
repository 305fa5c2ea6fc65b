//! Congestion window shared by the loss-based algorithms: slow start, validation, the loss window
//! and undo (RFC 5681, RFC 7661), with byte counting (RFC 3465), without the problems of
//! RFC 2525 §2.1 to §2.3, §2.6 and §2.8.
//!
//! Owns cwnd, ssthresh and the recovery episode. Refuses to know by how much a loss reduces
//! ssthresh and how the window grows in congestion avoidance: there the algorithms differ.

use super::facts::Ack;
use crate::time::{Duration, Instant};

/// The validation clock ticks every 2^34 ns (17 s) and wraps after 73 minutes.
const COARSE_BITS: u32 = 34;

/// RFC 7661 §4.4.3: the non-validated period, five minutes.
const NON_VALIDATED_PERIOD: u8 = (300_000_000_000u64 >> COARSE_BITS) as u8 + 1;

/// Twelve bytes of state. Amounts in bytes.
#[derive(Clone, Debug)]
pub(super) struct Window {
    cwnd: u32,
    ssthresh: u32,
    mss: u16,
    /// Last time at which at least half of the window was used.
    validated_at: u8,
    /// The initial window in segments, up to 63, in the lower six bits; the [`Episode`] above them.
    restart: u8,
}

/// The recovery episode that the window is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Episode {
    /// No recovery.
    Open = 0,
    /// Loss recovery.
    Recovery = 1,
    /// The timer expired and nothing has been acknowledged since.
    TimedOut = 2,
    /// Slow start after a timeout.
    Restarting = 3,
}

const SEGMENTS_BITS: u32 = 6;
const SEGMENTS_MAX: u8 = (1 << SEGMENTS_BITS) - 1;

/// Window before a reduction, to restore if the reduction was spurious.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Undo {
    cwnd: u32,
    ssthresh: u32,
}

/// Growth that an ACK allows the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Growth {
    /// None: recovery is in progress.
    Done,
    /// None: too little of the window was in use for the ACK to measure the path.
    Unused,
    /// Grow as in slow start.
    SlowStart,
    /// Grow as in congestion avoidance.
    Avoidance,
}

const fn coarse(now: Instant) -> u8 {
    (now.as_nanos() >> COARSE_BITS) as u8
}

impl Window {
    pub(super) fn new(mss: u16, segments: u8) -> Self {
        let mss = mss.max(1);
        Self {
            cwnd: initial_window(u32::from(mss), segments),
            // RFC 5681 §3.1: "The initial value of ssthresh SHOULD be set arbitrarily high".
            ssthresh: u32::MAX,
            mss,
            validated_at: 0,
            restart: segments.min(SEGMENTS_MAX),
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

    /// Returns IW (RFC 6928).
    pub(super) const fn initial(&self) -> u32 {
        initial_window(self.smss(), self.restart & SEGMENTS_MAX)
    }

    const fn episode(&self) -> Episode {
        match self.restart >> SEGMENTS_BITS {
            0 => Episode::Open,
            1 => Episode::Recovery,
            2 => Episode::TimedOut,
            _ => Episode::Restarting,
        }
    }

    const fn enter(&mut self, episode: Episode) {
        self.restart = self.restart & SEGMENTS_MAX | (episode as u8) << SEGMENTS_BITS;
    }

    /// Returns true if the first slow start has not ended.
    #[inline]
    pub(super) const fn is_first_slow_start(&self) -> bool {
        self.ssthresh == u32::MAX
    }

    /// RFC 5681 §3.1: slow start "is used when cwnd < ssthresh".
    pub(super) const fn is_slow_start(&self) -> bool {
        self.cwnd < self.ssthresh
    }

    pub(super) fn grow(&mut self, bytes: u32) {
        self.cwnd = self.cwnd.saturating_add(bytes);
    }

    #[inline]
    pub(super) fn on_ack(&mut self, ack: &Ack) -> Growth {
        if ack.bytes > 0 && self.episode() == Episode::TimedOut {
            self.enter(Episode::Restarting);
        }
        if self.episode() == Episode::Recovery || ack.bytes == 0 {
            return Growth::Done;
        }
        // RFC 7661 §4.3: the window is validated while half of it is used; an unused part is not
        // proven to fit the path. More than half, as in Linux, so the window never exceeds twice
        // what was used.
        if !ack.cwnd_limited && ack.used <= self.cwnd / 2 {
            self.on_unvalidated(ack.now);
            return Growth::Unused;
        }
        self.validated_at = coarse(ack.now);
        // RFC 3168 §6.1.2:
        //   > The sending TCP SHOULD NOT increase the congestion window in response to the receipt
        //   > of an ECN-Echo ACK packet.
        if ack.ce > 0 {
            return Growth::Done;
        }
        if self.is_slow_start() {
            return Growth::SlowStart;
        }
        self.enter(Episode::Open);
        Growth::Avoidance
    }

    /// RFC 7661 §4.4.3: after five minutes without use the window is no longer trusted:
    ///   > ssthresh = max(ssthresh, 3*cwnd/4)
    ///   > cwnd = max(1/2*cwnd, IW)
    fn on_unvalidated(&mut self, now: Instant) {
        if coarse(now).wrapping_sub(self.validated_at) < NON_VALIDATED_PERIOD {
            return;
        }
        self.validated_at = coarse(now);
        if self.cwnd > self.initial() {
            self.remember_in_ssthresh();
            self.cwnd = (self.cwnd / 2).max(self.initial());
        }
    }

    /// RFC 7661 §4.4.3: slow start ends near the old cwnd when the window is used again.
    fn remember_in_ssthresh(&mut self) {
        if !self.is_first_slow_start() {
            self.ssthresh = self.ssthresh.max(self.cwnd / 4 * 3);
        }
    }

    /// Returns the bytes that an ACK adds in slow start. RFC 5681 §3.1 with RFC 3465 §2.2: min(N,
    /// L*SMSS).
    pub(super) fn slow_start_growth(&self, ack: &Ack) -> u32 {
        // RFC 3465 §2.3: after a timeout an ACK may cover data that arrived before it, and does not
        // measure what leaves the network now, so L is one SMSS.
        let most = ack.slow_start_max;
        let most = if self.episode() == Episode::Restarting { most.min(self.smss()) } else { most };
        ack.growth().min(most)
    }

    /// Returns the rate that spreads a window over a round trip. Somewhat faster than cwnd per
    /// round trip, as in Linux: twice in slow start, where the window doubles; 1.2 times after it,
    /// so that the ACKs, not the pacing, set the rate.
    pub(super) fn pacing_rate(&self, srtt: Duration) -> Option<u64> {
        let percent = if self.cwnd < self.ssthresh / 2 { 200 } else { 120 };
        let rate = u64::from(self.cwnd) * percent * 10_000_000 / srtt.as_nanos().max(1);
        (srtt > Duration::ZERO).then_some(rate.max(1))
    }

    /// Ends slow start without a loss.
    pub(super) const fn end_slow_start(&mut self) {
        self.ssthresh = self.cwnd;
    }

    /// RFC 5681 equation (4): never below 2*SMSS.
    fn set_ssthresh(&mut self, ssthresh: u32) {
        self.ssthresh = ssthresh.max(2 * self.smss());
    }

    /// Returns the state to restore if the next reduction is spurious.
    pub(super) const fn before_reduction(&self) -> Undo {
        Undo { cwnd: self.cwnd, ssthresh: self.ssthresh }
    }

    pub(super) fn on_enter_recovery(&mut self, ssthresh: u32) {
        self.set_ssthresh(ssthresh);
        self.cwnd = self.ssthresh;
        self.enter(Episode::Recovery);
    }

    /// Sets cwnd during recovery, when recovery controls the window.
    pub(super) fn set_cwnd(&mut self, bytes: u32) {
        if self.episode() == Episode::Recovery {
            self.cwnd = bytes.max(self.smss());
        }
    }

    /// Reduces cwnd along with the flight, down to ssthresh.
    pub(super) fn shrink_to(&mut self, bytes: u32) {
        self.cwnd = bytes.max(self.smss());
    }

    /// Sets cwnd on behalf of an algorithm with a model of the path.
    pub(super) fn set_cwnd_by_model(&mut self, bytes: u32) {
        self.cwnd = bytes.max(self.smss());
    }

    pub(super) fn on_exit_recovery(&mut self, in_flight: u32) {
        if self.episode() != Episode::Recovery {
            return;
        }
        // RFC 6582 §3.2 step 3, full acknowledgement, option (1), which sends no burst:
        //   > Set cwnd to min (ssthresh, max(FlightSize, SMSS) + SMSS)
        let flight = in_flight.max(self.smss()).saturating_add(self.smss());
        self.cwnd = self.ssthresh.min(flight);
        self.enter(Episode::Open);
    }

    pub(super) fn on_timeout(&mut self, ssthresh: u32) {
        // RFC 5681 §3.1: when the same segment times out again, "the value of ssthresh is held
        // constant".
        if !self.timed_out() {
            self.set_ssthresh(ssthresh);
        }
        // RFC 5681 §3.1: cwnd becomes LW, "1 full-sized segment (regardless of the value of IW)".
        self.cwnd = self.smss();
        self.enter(Episode::TimedOut);
    }

    /// Reacts to an ECN echo: reduces cwnd and ssthresh at once, with nothing to retransmit.
    /// RFC 9438 §4.6: on ECE cwnd may fall to one segment, ssthresh to two.
    pub(super) fn on_echo(&mut self, ssthresh: u32) {
        if self.episode() == Episode::Recovery || self.timed_out() {
            return; // the loss has already reduced it in this round trip
        }
        self.cwnd = ssthresh.max(self.smss()).min(self.cwnd);
        self.set_ssthresh(ssthresh);
    }

    /// Undoes a spurious reduction, unless the window has grown further since.
    pub(super) fn on_undo(&mut self, undo: Undo) {
        self.cwnd = self.cwnd.max(undo.cwnd);
        self.ssthresh = self.ssthresh.max(undo.ssthresh);
        self.enter(Episode::Open);
    }

    /// RFC 4015 §3.1 (9): cwnd is the flight plus an initial window, and slow start leads back to
    /// the old ssthresh.
    pub(super) fn on_undo_of_timeout(&mut self, cwnd: u32, ssthresh: u32) {
        self.set_ssthresh(self.ssthresh.max(ssthresh));
        self.cwnd = self.cwnd.min(cwnd.max(self.smss()));
    }

    /// Returns true if nothing was acknowledged since the last timeout.
    pub(super) fn timed_out(&self) -> bool {
        self.episode() == Episode::TimedOut
    }

    /// RFC 5681 §4.1: RW = min(IW, cwnd). A burst after an idle period has no ACKs to clock it.
    pub(super) fn on_idle(&mut self) {
        if self.cwnd > self.initial() {
            self.remember_in_ssthresh();
            self.cwnd = self.initial();
        }
    }

    pub(super) fn on_mss(&mut self, mss: u16) {
        self.mss = mss.max(1);
        self.cwnd = self.cwnd.max(self.smss());
    }
}

/// Returns the initial window in bytes for `segments` of `mss`. RFC 6928 §2 has, for 10 segments,
/// `IW = min (10*MSS, max (2*MSS, 14600))`; other counts use the same form.
const fn initial_window(mss: u32, segments: u8) -> u32 {
    let segments = if segments == 0 { 1 } else { segments as u32 };
    let (all, two) = (segments * mss, 2 * mss);
    let bound = if two > segments * 1460 { two } else { segments * 1460 };
    if all < bound { all } else { bound }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::congestion::model::ack;

    #[test]
    fn a_window_takes_12_bytes() {
        assert_eq!(size_of::<Window>(), 12);
    }

    #[test]
    fn no_amount_overflows() {
        let mut window = Window::new(u16::MAX, u8::MAX);
        let all = ack(u32::MAX, u32::MAX, None, Instant::ZERO);
        for _ in 0..10_000 {
            if window.on_ack(&all) == Growth::SlowStart {
                window.grow(window.slow_start_growth(&all));
            }
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

    #[test]
    fn a_window_used_by_more_than_half_is_validated() {
        // RFC 7661 §4.3
        let mut window = Window::new(1000, 10);
        assert_eq!(window.on_ack(&ack(1000, 5_000, None, Instant::ZERO)), Growth::Unused);
        assert_eq!(window.on_ack(&ack(1000, 5_001, None, Instant::ZERO)), Growth::SlowStart);
        // The last ACKs of a flight count all of it.
        let last = Ack { prior_in_flight: 1000, ..ack(1000, 9_000, None, Instant::ZERO) };
        assert_eq!(window.on_ack(&last), Growth::SlowStart);
        let limited = Ack { cwnd_limited: true, ..ack(1000, 1_000, None, Instant::ZERO) };
        assert_eq!(window.on_ack(&limited), Growth::SlowStart, "cwnd was the limit");
    }

    #[test]
    fn an_unused_window_is_kept_for_five_minutes_and_then_halved_down_to_iw() {
        // RFC 7661 §4.4.3
        let mut window = Window::new(1000, 10);
        window.on_enter_recovery(40_000);
        window.on_exit_recovery(80_000);
        window.grow(40_000);
        let start = Instant::from_millis(1_000_000);
        let _ = window.on_ack(&ack(1000, 80_000, None, start));
        let idle = |s| ack(1000, 1_000, None, start + Duration::from_secs(s));
        let _ = window.on_ack(&idle(290));
        assert_eq!(window.cwnd(), 80_000);
        let _ = window.on_ack(&idle(320));
        assert_eq!((window.cwnd(), window.ssthresh()), (40_000, 60_000));
        let _ = window.on_ack(&idle(340));
        assert_eq!(window.cwnd(), 40_000);
        for minutes in 2..10 {
            let _ = window.on_ack(&idle(330 * minutes));
        }
        assert_eq!(window.cwnd(), 10_000);
    }

    #[test]
    fn a_congestion_echo_prevents_growth() {
        // RFC 3168 §6.1.2
        let mut window = Window::new(1000, 10);
        let marked = Ack { ce: 1000, ..ack(1000, 10_000, None, Instant::ZERO) };
        assert_eq!(window.on_ack(&marked), Growth::Done);
    }

    #[test]
    fn undo_never_lowers_the_window() {
        // RFC 9438 §4.9.2, RFC 4015 §3.2
        let mut window = Window::new(1000, 10);
        let undo = window.before_reduction();
        window.on_enter_recovery(5_000);
        window.on_undo(undo);
        assert_eq!((window.cwnd(), window.ssthresh()), (10_000, u32::MAX));
        window.on_enter_recovery(5_000);
        window.on_exit_recovery(5_000);
        window.grow(20_000);
        window.on_undo(undo);
        assert_eq!(window.cwnd(), 25_000);
    }

    #[test]
    fn an_echo_during_recovery_does_not_reduce_the_window() {
        let mut window = Window::new(1000, 20);
        window.on_enter_recovery(10_000);
        window.on_echo(5_000);
        assert_eq!((window.cwnd(), window.ssthresh()), (10_000, 10_000));
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
