//! Loss recovery: what an ACK tells about loss, what is sent again, and when the peer is given up.
//!
//! Owns the round-trip time, the backoff, the stage of recovery and the congestion control, which it tells
//! of losses. Refuses to send: what is lost is marked, and `transmit` sends it again.
//!
//! | with a peer that | losses are found by | marked in | files |
//! |---|---|---|---|
//! | permits SACK | RACK-TLP (RFC 8985) | the scoreboard of the flight | `selective`, `heed`, `episode`, `sending`, `rack`, `tlp`, `prr`, `marked`, `undo`, `forward` |
//! | does not | duplicate ACKs (RFC 5681, RFC 6582, RFC 3042) | a range of the send half | `newreno` |
//!
//! The timer (RFC 6298) is common to both, here and in `rto`.

mod episode;
mod forward;
mod heed;
mod inspect;
mod marked;
mod newreno;
mod path;
mod prr;
mod rack;
mod repeats;
mod report;
mod rto;
mod selective;
mod sending;
mod tlp;
mod undo;

use super::congestion::Controller;
use super::connection::Connection;
use super::fast_open::EarlyMarks;
use super::flight::Flight;
use super::interface::{CloseReason, Env};
use super::marks::Marks;
use super::rtt::Rtt;
use super::send::SendHalf;
use super::{Embryo, Segment, SeqNum, Settings};
use crate::time::{Duration, Instant};

pub(super) use forward::ForwardProbe;
use newreno::DUPLICATE_ACKS;
pub(super) use path::Path;
pub(super) use prr::Prr;
pub(super) use rack::{Rack, Reordering};
pub use report::Repairs;
pub(super) use rto::Alarm;
pub(super) use tlp::TailProbe;
pub(super) use undo::Undo;

/// RFC 6298 (5.7): the timeout after a handshake that lost a SYN and gave no measurement.
const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);

/// The most doublings of the timeout: any `rto_max` is reached long before, and no shift overflows.
const BACKOFF_MAX: u8 = 16;

/// The largest round trip that is taken from an echoed timestamp: a peer that echoes nonsense must not
/// set our timer for hours.
const ECHOED_RTT_MS_MAX: u32 = 120_000;

/// Where recovery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not in it.
    Open,
    /// Without SACK: in fast recovery (RFC 6582 §3.2), no partial ACK yet.
    Fast,
    /// Without SACK: in it, after a partial ACK.
    Partial,
    /// With SACK: in fast recovery.
    Selective,
    /// With SACK: in RTO recovery, until all that was in flight at the timeout is acknowledged.
    TimedOut,
}

/// The state of loss recovery.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Recovery {
    pub(super) controller: Controller,
    pub(super) rtt: Rtt,
    /// When the timed segment was sent.
    timed_at: Instant,
    /// R2: when the peer is given up; FAR until the timer expires for the first time.
    pub(super) give_up_at: Instant,
    /// The number whose acknowledgment ends the measurement.
    timed: SeqNum,
    /// SND.NXT when loss was last found.
    recover: SeqNum,
    /// Segments sent again, for information.
    pub(super) retransmissions: u32,
    pub(super) stage: Stage,
    is_timing: bool,
    duplicate_acks: u8,
    backoff: u8,
    /// With SACK, while data is in flight, and after it if there is something to remember.
    pub(super) flight: Option<Box<Flight>>,
}

impl Recovery {
    pub(super) fn new(iss: SeqNum, now: Instant, settings: &Settings) -> Self {
        let mss = super::send::MSS_DEFAULT[0];
        let controller = Controller::new(settings.congestion, mss, settings.initial_window);
        Self::with(controller, Rtt::default(), iss, now)
    }

    /// ESTABLISHED by way of an embryo: what [`Self::begin`] makes of [`Self::new`], at once.
    #[inline(always)]
    pub(super) fn begun(snd: &SendHalf, env: &Env<'_>, embryo: &Embryo) -> Self {
        let segments = first_segments(env, embryo.retransmissions() > 0);
        let controller = Controller::new(env.settings.congestion, snd.mss, segments);
        let mut rtt = Rtt::default();
        if let Some(sample) = embryo.handshake_rtt(env.now) {
            rtt.on_sample(sample);
        }
        Self::with(controller, rtt, snd.iss, env.now)
    }

    #[inline(always)]
    const fn with(controller: Controller, rtt: Rtt, iss: SeqNum, now: Instant) -> Self {
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

    /// ESTABLISHED: the MSS is known, and with it the initial window.
    pub(super) fn begin(
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

    /// What congestion control lets be in flight. RFC 3042: each of the first two duplicate ACKs lets
    /// one more segment go, so that there is a third even when little is in flight.
    #[inline]
    pub(super) fn allowance(&self, mss: u16) -> u32 {
        let limited =
            if self.stage == Stage::Open { self.duplicate_acks.min(DUPLICATE_ACKS - 1) } else { 0 };
        self.controller.cwnd().saturating_add(u32::from(limited) * u32::from(mss))
    }

    /// New data up to `end` is sent: timed, if nothing is. One measurement a round trip suffices
    /// (RFC 6298 §4).
    #[inline]
    pub(super) fn on_sent(&mut self, end: SeqNum, now: Instant) {
        if !self.is_timing {
            self.is_timing = true;
            self.timed = end;
            self.timed_at = now;
        }
    }

    /// The user timeout is `span` from now on: what runs already is cut or stretched to that, counted
    /// from now.
    pub(super) fn on_user_timeout(&mut self, now: Instant, span: Duration) {
        if self.give_up_at != Instant::FAR {
            self.give_up_at = now + span;
        }
    }

    /// The timer expired: the next time it runs twice as long.
    pub(super) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(BACKOFF_MAX);
    }

    /// Timeouts since the last acknowledgment of something new.
    pub(super) const fn backoff(&self) -> u8 {
        self.backoff
    }

    /// Something is sent again. RFC 6298 §3, Karn's algorithm:
    ///   > RTT samples MUST NOT be made using segments that were retransmitted
    pub(super) fn on_sent_again(&mut self) {
        self.is_timing = false;
        self.retransmissions = self.retransmissions.wrapping_add(1);
    }

    /// Nothing is outstanding and sending begins.
    ///
    /// RFC 5681 §4.1:
    ///   > a TCP SHOULD set cwnd to no more than RW before beginning transmission if the TCP has not
    ///   > sent data in an interval exceeding the retransmission timeout.
    pub(super) fn on_resumed(&mut self, env: &Env<'_>, rto: Duration) {
        self.controller.on_rested();
        let idle = env.now.since(self.timed_at);
        if idle > rto && env.settings.idle_restart {
            self.controller.on_idle(idle, rto);
        }
    }

    /// The path takes smaller segments: what is outstanding did not arrive, and RFC 1191 §6.5 tells that
    /// this is no sign of congestion, as does RFC 8201 §5.4.
    pub(super) fn on_path_mss(&mut self, snd: &mut SendHalf, mss: u16) {
        self.controller.on_mss(mss);
        self.is_timing = false;
        match &mut self.flight {
            Some(flight) => flight.board.cut(u32::from(mss)),
            None => snd.resend_all(),
        }
    }

    /// The round trip that an ACK of new data measures, if it does.
    fn sample(&mut self, now: Instant, ack: SeqNum, elapsed_ms: Option<u32>) -> Option<Duration> {
        if self.is_timing {
            // One is under way, finer than the clock of timestamps.
            let done = ack.at_or_after(self.timed);
            self.is_timing = !done;
            return done.then(|| now.since(self.timed_at));
        }
        // RFC 7323 §4.1: an echo tells which copy is acknowledged, so a retransmission counts too.
        let elapsed_ms = elapsed_ms.filter(|&ms| ms <= ECHOED_RTT_MS_MAX)?;
        Some(Duration::from_millis(u64::from(elapsed_ms.max(1))))
    }
}

/// The initial window in segments. RFC 5681 §3.1:
///   > if the SYN or SYN/ACK is lost, the initial window used by a sender after a correctly
///   > transmitted SYN MUST be one segment
const fn first_segments(env: &Env<'_>, syn_was_lost: bool) -> u8 {
    if syn_was_lost { 1 } else { env.settings.initial_window }
}

impl Connection {
    /// The retransmission timeout before backoff.
    pub(super) fn rto(&self, settings: &Settings) -> Duration {
        let lost_syn = self.marks.has(Marks::SYN_TIMED_OUT) && !self.phase.is_opening();
        if lost_syn && self.recovery.rtt.srtt().is_none() {
            return RTO_AFTER_LOST_SYN.min(settings.rto_max);
        }
        self.recovery.rtt.rto(settings)
    }

    /// The retransmission timeout. RFC 6298 (5.5): "RTO <- RTO * 2", at most `rto_max`.
    pub(super) fn rto_backed_off(&self, settings: &Settings) -> Duration {
        self.rto(settings).times(1 << self.recovery.backoff).min(settings.rto_max)
    }

    /// The SYN is acknowledged: ESTABLISHED may begin.
    pub(super) fn on_syn_acked(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        self.snd.advance_una(segment.ack);
        let elapsed_ms = self.echoed_ms(env.now, segment);
        let sample = self.recovery.sample(env.now, segment.ack, elapsed_ms);
        let lost = self.marks.has(Marks::SYN_TIMED_OUT);
        self.recovery.begin(&self.snd, env, lost, sample);
        self.timers.retransmit_at = Instant::FAR;
        if self.early.has(EarlyMarks::TRIES) {
            self.on_early_answer(env, segment);
        }
    }

    /// Our SYN-ACK is acknowledged, data that went before that or not. What may be in flight then is as if
    /// nothing were yet, and what is in flight counts against it.
    pub(super) fn measure_handshake(&mut self, env: &Env<'_>, segment: &Segment<'_>) {
        let elapsed_ms = self.echoed_ms(env.now, segment);
        let sample = self.recovery.sample(env.now, self.snd.una, elapsed_ms);
        let lost = self.marks.has(Marks::SYN_TIMED_OUT);
        self.recovery.begin(&self.snd, env, lost, sample);
    }

    /// How long ago we sent what the peer echoes.
    pub(super) fn echoed_ms(&self, now: Instant, segment: &Segment<'_>) -> Option<u32> {
        let ours = self.stamp(now)?.value;
        // RFC 7323 §3.2: an echo of 0 is no echo, for some stacks.
        let echo = segment.options.timestamps?.echo;
        (echo != 0).then(|| ours.wrapping_sub(echo))
    }

    /// The timer expired for our SYN.
    pub(super) fn on_syn_timeout(&mut self, env: &mut Env<'_>) {
        if self.early.has(EarlyMarks::PASSIVE) {
            return self.on_syn_ack_timeout(env);
        }
        // RFC 9293 §3.8.3: R2 for a SYN.
        let spent = self.recovery.backoff >= self.syn_retries(env.settings).min(BACKOFF_MAX);
        if spent || self.has_user_timeout() && self.gives_up(env) {
            return self.end(env, CloseReason::TimedOut);
        }
        self.back_off();
        self.marks.insert(Marks::SYN_TIMED_OUT);
        self.note_syn_timeout();
        self.snd.resend_syn();
    }

    /// The timer expired with the window closed (RFC 9293 §3.8.6.1).
    pub(super) fn on_persist_timeout(&mut self, env: &mut Env<'_>) {
        if self.gives_up(env) {
            return self.end(env, CloseReason::TimedOut);
        }
        self.back_off();
        if let Some(flight) = &mut self.recovery.flight {
            flight.timer_since = env.now;
        }
        self.recovery.set_alarm(Alarm::Timeout);
        if env.settings.probe_without_data {
            self.marks.insert(Marks::KEEP_ALIVE);
            self.arm_retransmit(env);
        } else {
            self.marks.insert(Marks::PROBE);
        }
    }

    /// The peer answers though its window is closed: RFC 9293 §3.8.6.1,
    ///   > As long as the receiving TCP peer continues to send acknowledgments in response to the probe
    ///   > segments, the sending TCP peer MUST allow the connection to stay open (MUST-37).
    pub(super) fn on_closed_window(&mut self, env: &Env<'_>) {
        self.recovery.give_up_at = Instant::FAR;
        // What has to be probed from here on is the window.
        if self.recovery.alarm() != Alarm::Timeout {
            self.restart_timer(env);
        }
    }

    /// The window opened. What was sent into the closed one was thrown away.
    pub(super) fn on_opened_window(&mut self, env: &Env<'_>) {
        self.recovery.backoff = 0;
        if self.marks.has(Marks::PROBED) {
            match &mut self.recovery.flight {
                Some(flight) => flight.board.lose_all(false),
                None => self.snd.resend_all(),
            }
        }
        self.marks.remove(Marks::PROBE.with(Marks::PROBED));
        self.restart_timer(env);
    }

    /// R2 (RFC 9293 §3.8.3): counted from the transmission whose timer was the first to expire.
    fn gives_up(&mut self, env: &Env<'_>) -> bool {
        if self.recovery.give_up_at == Instant::FAR {
            let span = self.user_timeout(env.settings) - self.rto_backed_off(env.settings);
            self.recovery.give_up_at = env.now + span;
        }
        self.recovery.give_up_at <= env.now
    }

    fn back_off(&mut self) {
        self.recovery.back_off();
    }
}
