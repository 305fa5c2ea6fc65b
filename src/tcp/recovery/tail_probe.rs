//! Timers of a flight before the RTO: the tail loss probe (RFC 8985 §7) and the end of the
//! reordering window (§6.2 step 5).

use crate::tcp::flight::{Alarm, Flight};
use crate::tcp::rate::{RateStamp, micros};
use crate::tcp::state::{Marks, Stage};
use crate::tcp::{Connection, Env};
use crate::time::{Duration, Instant};

/// Initial TLP.max_ack_delay (RFC 8985 §7.2). Most hosts delay the ACK of a single segment by 40
/// ms; the rest allows for their timers. A smaller value sends every slowly answered request twice;
/// a larger one leaves a lost request to the RTO.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// TLP.max_ack_delay after a spurious probe: RFC 9293 allows 500 ms, hosts delay by 200 ms at most.
const ACK_DELAY_MAX: Duration = Duration::from_millis(200);

/// TLP.max_ack_delay for a FIN, whose ACK is not delayed: allows a busy peer some processing time.
const FIN_ACK_DELAY: Duration = Duration::from_millis(5);

impl Connection {
    /// Returns the probe timeout, no later than the RTO (RFC 8985 §7.2, TLP_calc_PTO). `None`
    /// where other mechanisms apply:
    ///   > unless it is already in fast recovery, RTO recovery, or segments have been SACKed
    ///
    /// and where a probe is not allowed (§7.3) or no RTT sample exists. The PTO counts from the
    /// last transmission, as RFC 7765 §4 counts the RTO, so that a tail loss is repaired within two
    /// round trips. An ACK that advances SND.UNA adds one more.
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

    /// Returns the ACK delay to add to the round trip. RFC 8985 §7.2:
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

    /// Processes the expired probe timer: RFC 8985 §7.3, TLP_send_probe.
    ///   > After attempting to send a loss probe, regardless of whether a loss probe was sent, the
    ///   > sender MUST re-arm the RTO timer, not the PTO timer, if the FlightSize is not zero.
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

    /// Arms a probe for a FIN without data that was sent into an empty flight. The scoreboard is
    /// created only when the probe is due, which saves short connections its cost.
    #[inline]
    pub(in crate::tcp) fn arm_fin_probe(&mut self, env: &Env<'_>) {
        let probes = env.settings.tail_probes && self.marks.has(Marks::SACK);
        let srtt = self.recovery.rtt.srtt().filter(|_| probes);
        if let Some(srtt) = srtt {
            let at = env.now + srtt.times(2) + self.ack_delay(env, true, false);
            self.timers.retransmit_at = self.timers.retransmit_at.min(at);
        }
    }

    /// Returns true if the timer runs for such a FIN that was sent once.
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

    /// Creates the flight of a FIN whose probe is due.
    pub(in crate::tcp) fn probe_fin(&mut self, env: &mut Env<'_>) {
        let mut flight = env.pool.flights.acquire(self.snd.una, env.now);
        flight.board.on_sent(self.snd.nxt, micros(env.now), RateStamp::default());
        self.recovery.flight = Some(flight);
        self.on_probe_deadline(env);
    }

    /// Processes the end of the reordering window of a segment (RFC 8985 §6.2 step 5).
    pub(in crate::tcp) fn on_reordering_deadline(&mut self, env: &Env<'_>) {
        let (lost, due) = self.find_losses(env.now);
        if lost > 0 && self.recovery.stage == Stage::Open {
            self.enter_recovery(env.now, 0, 0);
        }
        if lost > 0 {
            // No ACK clocks this transmission, so PRR gets credit for one segment.
            self.recovery.reduce(u32::from(self.snd.mss), false, self.snd.mss);
        }
        match due {
            Some(micros) => self.arm_reordering(env, micros),
            None => self.arm_alarm(env, Alarm::Timeout),
        }
    }

    /// Rearms the timer slot after an ACK: RFC 6298 (5.2), (5.3), and the alarms that precede the
    /// RTO.
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
            // A duplicate ACK does not postpone the probe.
            Some(_) if !advanced && self.recovery.alarm() == Alarm::Probe => {}
            Some(at) => {
                self.recovery.set_alarm(Alarm::Probe);
                self.timers.retransmit_at = at;
            }
            None => self.arm_alarm(env, Alarm::Timeout),
        }
    }

    /// Releases the empty flight, unless it holds state to keep.
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
