//! The retransmission timer (RFC 6298), the persist timer, and the timer slot that they share with
//! the tail loss probe and the reordering window: the earliest deadline wins (RFC 8985 §8).
//!
//! Owns the reaction to a timeout: marks segments as lost, and `send::transmit` retransmits them.

use crate::tcp::flight::Alarm;
use crate::tcp::rate::micros;
use crate::tcp::recovery::detect::Overdue;
use crate::tcp::state::{BACKOFF_MAX, EarlyMarks, Marks, R1, Recovery, Stage};
use crate::tcp::{CloseReason, Connection, Env, Settings};
use crate::time::{Duration, Instant};

/// RTO after a handshake that lost a SYN and gave no RTT sample (RFC 6298 (5.7)).
const RTO_AFTER_LOST_SYN: Duration = Duration::from_secs(3);

impl Connection {
    /// Returns the retransmission timeout before backoff.
    pub(in crate::tcp) fn rto(&self, settings: &Settings) -> Duration {
        let lost_syn = self.early.has(EarlyMarks::SYN_TIMED_OUT) && !self.phase.is_opening();
        if lost_syn && self.recovery.rtt.srtt().is_none() {
            return RTO_AFTER_LOST_SYN.min(settings.rto_max);
        }
        self.recovery.rtt.rto(settings)
    }

    /// Returns the backed-off timeout. RFC 6298 (5.5): "RTO <- RTO * 2", at most `rto_max`.
    pub(in crate::tcp) fn rto_backed_off(&self, settings: &Settings) -> Duration {
        self.rto(settings).times(1 << self.recovery.backoff).min(settings.rto_max)
    }

    /// Returns the deadline of the timeout: RTO after the last start of the timer.
    pub(in crate::tcp) fn timeout_at(&self, env: &Env<'_>) -> Instant {
        let since = self.recovery.flight.as_deref().map_or(env.now, |flight| flight.timer_since);
        let limit = self.recovery.give_up_at.min(env.now + self.user_timeout(env.settings));
        (since + self.rto_backed_off(env.settings)).min(limit).max(env.now)
    }

    /// Restarts the retransmission timer.
    pub(in crate::tcp) fn restart_timer(&mut self, env: &Env<'_>) {
        self.timers.retransmit_at = Instant::FAR;
        self.recovery.set_alarm(Alarm::Timeout);
        if self.snd.outstanding() > 0 {
            if let Some(flight) = &mut self.recovery.flight {
                flight.timer_since = env.now;
            }
            self.arm_retransmit(env);
        }
    }

    /// Arms the timer slot with `alarm`, due no later than the timeout.
    pub(in crate::tcp) fn arm_alarm(&mut self, env: &Env<'_>, alarm: Alarm) {
        self.recovery.set_alarm(alarm);
        self.timers.retransmit_at = self.timeout_at(env);
    }

    /// Arms the tail loss probe (RFC 8985 §7.2) or the timeout after new data was sent.
    pub(in crate::tcp) fn arm_probe(&mut self, env: &Env<'_>) {
        let timeout_at = self.timeout_at(env);
        match self.probe_at(env, timeout_at) {
            Some(at) => {
                self.recovery.set_alarm(Alarm::Probe);
                self.timers.retransmit_at = at;
            }
            None if self.recovery.alarm() == Alarm::Probe
                || self.timers.retransmit_at == Instant::FAR =>
            {
                self.arm_alarm(env, Alarm::Timeout);
            }
            None => {}
        }
    }

    /// Arms the reordering timer, which expires in `micros` for the oldest segment.
    pub(in crate::tcp) fn arm_reordering(&mut self, env: &Env<'_>, micros: u32) {
        let at = env.now + Duration::from_micros(u64::from(micros));
        self.recovery.set_alarm(Alarm::Reordering);
        self.timers.retransmit_at = at.min(self.timeout_at(env));
    }

    /// Dispatches an expired timer slot, with data outstanding and the window open.
    pub(in crate::tcp) fn on_alarm(&mut self, env: &mut Env<'_>) {
        // If the timeout is due at the same time, it takes precedence.
        match self.recovery.alarm() {
            Alarm::Probe => self.on_probe_deadline(env),
            Alarm::Timeout if self.awaits_fin_probe(env) => self.probe_fin(env),
            Alarm::Reordering if self.timeout_at(env) > env.now => self.on_reordering_deadline(env),
            _ => self.on_retransmission_timeout(env),
        }
    }

    /// Processes a retransmission timeout (RFC 6298 (5.4) to (5.6)).
    pub(in crate::tcp) fn on_retransmission_timeout(&mut self, env: &mut Env<'_>) {
        if self.gives_up(env) {
            return self.end(env, CloseReason::TimedOut);
        }
        self.on_timeout_of_path_probe(env.now); // RFC 4821 §7.6.3
        let nxt = self.snd.nxt;
        // Only the first timeout of an episode records the state to restore.
        let repeated = self.recovery.stage == Stage::TimedOut;
        let recovering = repeated || self.recovery.stage == Stage::Selective;
        self.recovery.end_reduction();
        let recovery = &mut self.recovery;
        if let Some(flight) = recovery.flight.as_deref_mut().filter(|_| !recovering) {
            // RFC 3522 §3.2, RFC 4015 §3.1: never "after loss recovery has already started".
            let outstanding = self.snd.outstanding();
            let before = recovery.controller.ssthresh().max(outstanding);
            flight.undo.begin_by_timeout(self.snd.una, before, recovery.rtt);
            flight.counts.reductions = flight.counts.reductions.saturating_add(1);
        }
        recovery.controller.on_timeout(self.snd.outstanding(), env.now);
        // RFC 6582 §3.2 (4):
        //   > After a retransmit timeout, record the highest sequence number transmitted in the
        //   > variable recover, and exit the fast recovery procedure if applicable.
        recovery.recover = nxt;
        recovery.stage = Stage::Open;
        recovery.duplicate_acks = 0;
        recovery.is_timing = false;
        self.back_off();
        if self.recovery.flight.is_some() {
            self.recovery.stage = Stage::TimedOut;
            self.recovery.lose_on_timeout(env, recovering);
        } else {
            self.snd.resend_all();
        }
        // RFC 4821 §7.7: at R1 it may be the path that does not take such segments.
        if self.recovery.backoff >= R1 {
            self.on_full_stop(env.settings);
        }
        self.restart_timer(env);
    }
}

/// Timeouts of a SYN and of a closed window.
impl Connection {
    /// Processes a timeout of our SYN.
    pub(in crate::tcp) fn on_syn_timeout(&mut self, env: &mut Env<'_>) {
        if self.early.has(EarlyMarks::PASSIVE) {
            return self.on_syn_ack_timeout(env);
        }
        // RFC 9293 §3.8.3: R2 for a SYN.
        let spent = self.recovery.backoff >= self.syn_retries(env.settings).min(BACKOFF_MAX);
        if spent || self.has_user_timeout() && self.gives_up(env) {
            return self.end(env, CloseReason::TimedOut);
        }
        self.back_off();
        self.early.insert(EarlyMarks::SYN_TIMED_OUT);
        self.on_fast_open_syn_timeout();
        self.snd.resend_syn();
    }

    /// Processes a timeout with the window closed (RFC 9293 §3.8.6.1).
    pub(in crate::tcp) fn on_persist_timeout(&mut self, env: &mut Env<'_>) {
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

    /// Processes an ACK that keeps the window closed: RFC 9293 §3.8.6.1,
    ///   > As long as the receiving TCP peer continues to send acknowledgments in response to the
    ///   > probe segments, the sending TCP peer MUST allow the connection to stay open (MUST-37).
    pub(in crate::tcp) fn on_closed_window(&mut self, env: &Env<'_>) {
        self.recovery.give_up_at = Instant::FAR;
        // From here on, the timer probes the window.
        if self.recovery.alarm() != Alarm::Timeout {
            self.restart_timer(env);
        }
    }

    /// Processes the opening of the window. The peer discarded what we sent into the closed one.
    pub(in crate::tcp) fn on_opened_window(&mut self, env: &Env<'_>) {
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

    /// Returns true at R2 (RFC 9293 §3.8.3), counted from the transmission whose timer expired
    /// first.
    fn gives_up(&mut self, env: &Env<'_>) -> bool {
        if self.recovery.give_up_at == Instant::FAR {
            let span = self.user_timeout(env.settings) - self.rto_backed_off(env.settings);
            self.recovery.give_up_at = env.now + span;
        }
        self.recovery.give_up_at <= env.now
    }

    pub(in crate::tcp) fn back_off(&mut self) {
        self.recovery.back_off();
    }
}

impl Recovery {
    /// Marks losses after a timeout (RFC 8985 §6.3, RACK_mark_losses_on_RTO):
    ///   > If SEG.SEQ == SND.UNA OR Segment.xmit_ts + RACK.rtt + RACK.reo_wnd - Now() <= 0:
    ///   >     Segment.lost = TRUE
    fn lose_on_timeout(&mut self, env: &Env<'_>, recovering: bool) {
        let nxt = self.recover;
        let repeated = self.backoff > 1;
        let Some(flight) = self.flight.as_deref_mut() else { return };
        let (min_rtt, srtt) = (flight.path.min_rtt_us(), self.rtt.srtt());
        let window_us = flight.reordering.window_us(true, 0, min_rtt, srtt);
        flight.rack.assume_rtt(srtt);
        let now_us = micros(env.now);
        let rated = self.controller.measures_rate();
        // RFC 2018 §5: "the timeout might indicate that the data receiver has reneged". Two robust
        // signs (RFC 6675 §5.1): the first segment is SACKed, or a timeout repeats.
        let reneged = flight.board.is_reneged() || repeated && flight.board.selected() > 0;
        if reneged {
            flight.board.lose_all(true);
        } else {
            while let Some(piece) = flight.board.oldest_sent() {
                if flight.rack.late(&piece, window_us, now_us) != Overdue::Now {
                    break;
                }
                flight.board.lose_oldest();
                flight.counts.lost = flight.counts.lost.saturating_add(1);
                if rated {
                    let len = piece.end.distance_from(piece.seq);
                    self.controller.on_lost(&flight.rate.on_lost(&piece.stamp, len));
                }
            }
            flight.board.lose_first();
        }
        flight.tail.reset();
        // RFC 5682 §3.1: F-RTO restarts from step 1 on a timeout that precedes the first ACK.
        let restart = !recovering || flight.forward.awaits_answer();
        flight.forward.begin(nxt, !restart || reneged);
        flight.forced = true;
    }
}
