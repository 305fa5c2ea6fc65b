//! Alarms of a flight before the timeout: when a tail loss probe is due (RFC 8985 §7), and when the reordering
//! window ends (§6.2 step 5).

use crate::tcp::flight::{Alarm, Flight};
use crate::tcp::rate::{RateStamp, micros};
use crate::tcp::state::{Marks, Stage};
use crate::tcp::{Connection, Env};
use crate::time::{Duration, Instant};

/// TLP.max_ack_delay (RFC 8985 §7.2) at first: how long most hosts hold back the ACK of a single segment,
/// 40 ms, and as long again for their timers. Less, and every request that takes a while to answer is sent
/// twice; more, and a lost one is repaired by the timeout only.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// The same once a probe was in vain: RFC 9293 allows 500 ms, hosts take 200 ms at most.
const ACK_DELAY_MAX: Duration = Duration::from_millis(200);

/// The same for a FIN, whose ACK waits for no second segment: what a busy peer takes to see it.
const FIN_ACK_DELAY: Duration = Duration::from_millis(5);

impl Connection {
    /// RFC 8985 §7.2, TLP_calc_PTO, not past the retransmission timeout; `None` where other means serve:
    ///   > unless it is already in fast recovery, RTO recovery, or segments have been SACKed
    ///
    /// or where no probe could be sent (§7.3), as without any round trip measured. Counted is from when the
    /// last segment was sent, as RFC 7765 §4 counts the timeout, so that the end of a flight is repaired
    /// within two round trips; but an ACK that advances gives one more.
    pub(in crate::tcp) fn probe_at(&self, env: &Env<'_>, rto_at: Instant) -> Option<Instant> {
        let flight = self.recovery.flight.as_deref()?;
        let srtt = self.recovery.rtt.srtt()?;
        let calm = env.settings.tail_probes
            && self.recovery.stage == Stage::Open
            && flight.board.selected_segments() == 0
            && flight.board.waiting() == 0
            && flight.tail.may_probe()
            && self.snd.wnd > 0
            && self.recovery.backoff == 0;
        if !calm {
            return None;
        }
        let ago = micros(env.now).wrapping_sub(flight.board.newest_sent_us()?);
        let pto = srtt.times(2) + self.ack_delay(env, flight.is_alone, flight.path.holds_acks());
        let rest = pto - Duration::from_micros(u64::from(ago));
        Some((env.now + rest.max(srtt)).min(rto_at))
    }

    /// What the peer may add to the round trip. RFC 8985 §7.2:
    ///   > when the FlightSize is one segment, the sender MAY inflate the PTO by TLP.max_ack_delay
    fn ack_delay(&self, env: &Env<'_>, is_alone: bool, holds_acks: bool) -> Duration {
        if let Some(delay) = env.settings.tail_ack_delay {
            let is_one = self.snd.outstanding() <= u32::from(self.snd.mss);
            return if is_one { delay } else { Duration::ZERO };
        }
        if holds_acks && self.snd.outstanding() <= u32::from(self.snd.mss) {
            ACK_DELAY_MAX
        } else if !is_alone {
            Duration::ZERO
        } else if self.snd.nxt.after(self.snd.end) {
            FIN_ACK_DELAY
        } else {
            ACK_DELAY
        }
    }

    /// The probe timer expired: RFC 8985 §7.3, TLP_send_probe.
    ///   > After attempting to send a loss probe, regardless of whether a loss probe was sent, the sender
    ///   > MUST re-arm the RTO timer, not the PTO timer, if the FlightSize is not zero.
    pub(in crate::tcp) fn on_probe_deadline(&mut self, env: &Env<'_>) {
        let is_first = env.settings.probe_with_first && self.only_syn_acked();
        if let Some(flight) = self.recovery.flight.as_deref_mut() {
            flight.tail.is_first = is_first;
            flight.tail.due = flight.tail.may_probe();
            flight.counts.probes = flight.counts.probes.saturating_add(1);
            flight.timer_since = env.now;
        }
        self.arm_alarm(env, Alarm::Timeout);
    }

    /// A FIN without data was sent with nothing in flight: its probe is due before the timeout. It needs no
    /// scoreboard before that, so that what opens and closes pays nothing for it.
    #[inline]
    pub(in crate::tcp) fn arm_fin_probe(&mut self, env: &Env<'_>) {
        let probes = env.settings.tail_probes && self.marks.has(Marks::SACK);
        let srtt = self.recovery.rtt.srtt().filter(|_| probes);
        if let Some(srtt) = srtt {
            let at = env.now + srtt.times(2) + self.ack_delay(env, true, false);
            self.timers.retransmit_at = self.timers.retransmit_at.min(at);
        }
    }

    /// Whether the timer runs for such a FIN, sent once.
    pub(in crate::tcp) fn awaits_fin_probe(&self, env: &Env<'_>) -> bool {
        let snd = &self.snd;
        env.settings.tail_probes
            && self.recovery.flight.is_none()
            && self.marks.has(Marks::SACK)
            && self.recovery.rtt.srtt().is_some()
            && self.recovery.backoff == 0
            && snd.una == snd.end
            && snd.nxt.after(snd.end)
    }

    /// Its time has come: from here on it is a flight like any other.
    pub(in crate::tcp) fn probe_fin(&mut self, env: &mut Env<'_>) {
        let mut flight = env.pool.flights.acquire(self.snd.una, env.now);
        flight.board.on_sent(self.snd.nxt, micros(env.now), RateStamp::default());
        self.recovery.flight = Some(flight);
        self.on_probe_deadline(env);
    }

    /// The reordering window of a segment is over (RFC 8985 §6.2 step 5).
    pub(in crate::tcp) fn on_reordering_deadline(&mut self, env: &Env<'_>) {
        let (lost, due) = self.find_losses(env.now);
        if lost > 0 && self.recovery.stage == Stage::Open {
            self.enter_recovery(env.now, 0, 0);
        }
        if lost > 0 {
            // No ACK clocks this: one segment goes for it.
            self.recovery.reduce(u32::from(self.snd.mss), false, self.snd.mss);
        }
        match due {
            Some(micros) => self.arm_reordering(env, micros),
            None => self.arm_alarm(env, Alarm::Timeout),
        }
    }

    /// RFC 6298 (5.2), (5.3), and the alarms that come before it.
    pub(in crate::tcp) fn arm_after_ack(
        &mut self,
        env: &mut Env<'_>,
        advanced: bool,
        due: Option<u32>,
    ) {
        if self.snd.outstanding() == 0 {
            self.timers.retransmit_at = Instant::FAR;
            self.recovery.set_alarm(Alarm::Timeout);
            return self.rest_flight(env);
        }
        if advanced && let Some(flight) = &mut self.recovery.flight {
            flight.timer_since = env.now;
        }
        if let Some(micros) = due {
            return self.arm_reordering(env, micros);
        }
        if advanced || self.recovery.alarm() == Alarm::Reordering {
            self.timers.retransmit_at = Instant::FAR;
        } else if self.recovery.alarm() != Alarm::Probe {
            return;
        }
        let timeout_at = self.timeout_at(env);
        match self.probe_at(env, timeout_at) {
            // A duplicate does not put the probe off.
            Some(_) if !advanced && self.recovery.alarm() == Alarm::Probe => {}
            Some(at) => {
                self.recovery.set_alarm(Alarm::Probe);
                self.timers.retransmit_at = at;
            }
            None => self.arm_alarm(env, Alarm::Timeout),
        }
    }

    /// Nothing is in flight: the memory goes back, unless something is remembered in it.
    fn rest_flight(&mut self, env: &mut Env<'_>) {
        let counts = self.recovery.controller.measures_rate();
        let keeps = |flight: &&mut Flight| counts || flight.remembers();
        if let Some(flight) = self.recovery.flight.as_deref_mut().filter(keeps) {
            flight.rest();
        } else if let Some(flight) = self.recovery.flight.take() {
            env.pool.flights.release(flight);
        }
    }
}
