//! The state of loss recovery: the round-trip time, the backoff, the stage, the congestion control
//! and the flight. The steps are in `recovery`.

use super::send_half::SendHalf;
use crate::tcp::congestion::Controller;
use crate::tcp::flight::{Alarm, Flight};
use crate::tcp::mss::MSS_DEFAULT;
use crate::tcp::{Embryo, Env, Rtt, SeqNum, Settings};
use crate::time::{Duration, Instant};

/// Number of duplicate ACKs that indicate a loss (RFC 5681 §3.2).
pub(in crate::tcp) const DUPLICATE_ACKS: u8 = 3;

/// Maximum number of doublings of the timeout: any `rto_max` is reached long before, and no shift
/// overflows.
pub(in crate::tcp) const BACKOFF_MAX: u8 = 16;

/// Maximum round trip accepted from an echoed timestamp: a peer that echoes garbage must not set
/// our timer to hours.
pub(in crate::tcp) const ECHOED_RTT_MS_MAX: u32 = 120_000;

/// The stage of loss recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) enum Stage {
    /// Not in recovery.
    Open,
    /// Without SACK: in fast recovery (RFC 6582 §3.2), no partial ACK yet.
    Fast,
    /// Without SACK: in fast recovery, after a partial ACK.
    Partial,
    /// With SACK: in fast recovery.
    Selective,
    /// With SACK: in RTO recovery, until all data in flight at the timeout is acknowledged.
    TimedOut,
}

/// The state of loss recovery.
#[derive(Debug)]
#[repr(C)]
pub(in crate::tcp) struct Recovery {
    pub(in crate::tcp) controller: Controller,
    pub(in crate::tcp) rtt: Rtt,
    /// Time at which the timed segment was sent.
    pub(in crate::tcp) timed_at: Instant,
    /// R2: time at which the connection is given up; FAR until the timer first expires.
    pub(in crate::tcp) give_up_at: Instant,
    /// The sequence number whose acknowledgment ends the measurement.
    pub(in crate::tcp) timed: SeqNum,
    /// SND.NXT when a loss was last detected.
    pub(in crate::tcp) recover: SeqNum,
    /// Segments retransmitted, for statistics.
    pub(in crate::tcp) retransmissions: u32,
    pub(in crate::tcp) stage: Stage,
    pub(in crate::tcp) is_timing: bool,
    pub(in crate::tcp) duplicate_acks: u8,
    pub(in crate::tcp) backoff: u8,
    /// The flight. With SACK, present while data is in flight, and afterwards if it holds state to
    /// keep.
    pub(in crate::tcp) flight: Option<Box<Flight>>,
}

impl Recovery {
    pub(in crate::tcp) fn new(iss: SeqNum, now: Instant, settings: &Settings) -> Self {
        let mss = MSS_DEFAULT[0];
        let controller = Controller::new(settings.congestion, mss, settings.initial_window);
        Self::with(controller, Rtt::default(), iss, now)
    }

    /// Creates the state of a connection that an embryo becomes: [`Self::new`] and [`Self::begin`]
    /// in one step.
    #[inline(always)]
    pub(in crate::tcp) fn from_embryo(snd: &SendHalf, env: &Env<'_>, embryo: &Embryo) -> Self {
        let segments = first_segments(env, embryo.retransmissions() > 0);
        let controller = Controller::new(env.settings.congestion, snd.mss, segments);
        let mut rtt = Rtt::default();
        if let Some(sample) = embryo.handshake_rtt(env.now) {
            rtt.on_sample(sample);
        }
        Self::with(controller, rtt, snd.iss, env.now)
    }

    #[inline(always)]
    pub(in crate::tcp) const fn with(
        controller: Controller,
        rtt: Rtt,
        iss: SeqNum,
        now: Instant,
    ) -> Self {
        Self {
            controller,
            rtt,
            timed_at: now,
            give_up_at: Instant::FAR,
            timed: iss,
            recover: iss,
            retransmissions: 0,
            stage: Stage::Open,
            is_timing: false,
            duplicate_acks: 0,
            backoff: 0,
            flight: None,
        }
    }

    /// Enters ESTABLISHED: the MSS is known, and with it the initial window.
    pub(in crate::tcp) fn begin(
        &mut self,
        snd: &SendHalf,
        env: &Env<'_>,
        syn_was_lost: bool,
        rtt: Option<Duration>,
    ) {
        let segments = first_segments(env, syn_was_lost);
        self.controller = Controller::new(self.controller.algorithm(), snd.mss, segments);
        if let Some(sample) = rtt {
            self.rtt.on_sample(sample);
        }
        self.is_timing = false;
        self.timed_at = env.now;
        self.backoff = 0;
        self.give_up_at = Instant::FAR;
    }

    /// Returns how much data congestion control permits in flight. RFC 3042: each of the first two
    /// duplicate ACKs permits one more segment, so that a third duplicate ACK follows even with
    /// little in flight.
    #[inline]
    pub(in crate::tcp) fn allowance(&self, mss: u16) -> u32 {
        let limited =
            if self.stage == Stage::Open { self.duplicate_acks.min(DUPLICATE_ACKS - 1) } else { 0 };
        self.controller.cwnd().saturating_add(u32::from(limited) * u32::from(mss))
    }

    /// Records that new data up to `end` was sent, and times it unless a measurement is running.
    /// One measurement per round trip suffices (RFC 6298 §4).
    #[inline]
    pub(in crate::tcp) fn on_sent(&mut self, end: SeqNum, now: Instant) {
        if !self.is_timing {
            self.is_timing = true;
            self.timed = end;
            self.timed_at = now;
        }
    }

    /// Applies a new user timeout of `span`. A running timeout restarts from now.
    pub(in crate::tcp) fn on_user_timeout(&mut self, now: Instant, span: Duration) {
        if self.give_up_at != Instant::FAR {
            self.give_up_at = now + span;
        }
    }

    /// Doubles the timeout after an expiry.
    pub(in crate::tcp) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(BACKOFF_MAX);
    }

    /// Returns the timeouts since the last acknowledgment of new data.
    pub(in crate::tcp) const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// Records a retransmission. RFC 6298 §3, Karn's algorithm:
    ///   > RTT samples MUST NOT be made using segments that were retransmitted
    pub(in crate::tcp) fn on_retransmitted(&mut self) {
        self.is_timing = false;
        self.retransmissions = self.retransmissions.wrapping_add(1);
    }

    /// Prepares to send with nothing outstanding.
    ///
    /// RFC 5681 §4.1:
    ///   > a TCP SHOULD set cwnd to no more than RW before beginning transmission if the TCP has
    ///   > not sent data in an interval exceeding the retransmission timeout.
    pub(in crate::tcp) fn on_resumed(&mut self, env: &Env<'_>, rto: Duration) {
        self.controller.on_rested();
        let idle = env.now.since(self.timed_at);
        if idle > rto && env.settings.idle_restart {
            self.controller.on_idle(idle, rto);
        }
    }

    /// Applies a smaller path MTU: outstanding data did not arrive. RFC 1191 §6.5 and RFC 8201 §5.4
    /// say that this is no sign of congestion.
    pub(in crate::tcp) fn on_path_mss(&mut self, snd: &mut SendHalf, mss: u16) {
        self.controller.on_mss(mss);
        self.is_timing = false;
        match &mut self.flight {
            Some(flight) => flight.board.cut(u32::from(mss)),
            None => snd.resend_all(),
        }
    }

    /// Returns the round trip measured by an ACK of new data, if it measures one.
    pub(in crate::tcp) fn sample(
        &mut self,
        now: Instant,
        ack: SeqNum,
        elapsed_ms: Option<u32>,
    ) -> Option<Duration> {
        if self.is_timing {
            // A measurement is running, with a finer clock than timestamps.
            let done = ack.at_or_after(self.timed);
            self.is_timing = !done;
            return done.then(|| now.since(self.timed_at));
        }
        // RFC 7323 §4.1: an echo identifies the acknowledged copy, so a retransmission counts too.
        let elapsed_ms = elapsed_ms.filter(|&ms| ms <= ECHOED_RTT_MS_MAX)?;
        Some(Duration::from_millis(u64::from(elapsed_ms.max(1))))
    }

    /// Returns the purpose that the retransmission slot of the timers is armed for.
    #[inline]
    pub(in crate::tcp) fn alarm(&self) -> Alarm {
        self.flight.as_deref().map_or(Alarm::Timeout, |flight| flight.alarm)
    }

    pub(in crate::tcp) fn set_alarm(&mut self, alarm: Alarm) {
        if let Some(flight) = &mut self.flight {
            flight.alarm = alarm;
        }
    }

    /// Returns true while the flight shrinks in response to an ECN echo.
    pub(in crate::tcp) fn is_reducing(&self) -> bool {
        self.flight.as_deref().is_some_and(|flight| flight.reducing.is_some())
    }

    /// Ends a reduction. RFC 9937 §6.2: "cwnd = ssthresh" at the end, and before the response to a
    /// loss replaces it.
    pub(in crate::tcp) fn end_reduction(&mut self) {
        let reducing = self.flight.as_deref_mut().and_then(|flight| flight.reducing.take());
        if let Some((_, target)) = reducing {
            self.controller.shrink_to(target);
        }
    }
}

/// Returns the initial window in segments. RFC 5681 §3.1:
///   > if the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly
///   > transmitted SYN MUST be one segment
const fn first_segments(env: &Env<'_>, syn_was_lost: bool) -> u8 {
    if syn_was_lost { 1 } else { env.settings.initial_window }
}
