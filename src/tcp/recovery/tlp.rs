//! Tail loss probes: when nothing answers, one segment is sent to get an answer before the timer that
//! would cost the whole window expires (RFC 8985 §7). In place of RFC 7765's earlier timer, since the
//! answer tells RACK what is lost, and the window is kept.
//!
//! Owns the probe under way. Refuses to know which segment it is.

use crate::tcp::SeqNum;
use crate::tcp::connection::Connection;
use crate::tcp::interface::Env;
use crate::tcp::marks::Marks;
use crate::tcp::rate::{RateStamp, micros};
use crate::time::{Duration, Instant};

use super::{Alarm, Stage};

/// TLP.max_ack_delay (RFC 8985 §7.2) at first: how long most hosts hold back the ACK of a single segment,
/// 40 ms, and as long again for their timers. Less, and every request that takes a while to answer is sent
/// twice; more, and a lost one is repaired by the timeout only.
const ACK_DELAY: Duration = Duration::from_millis(50);

/// The same once a probe was in vain: RFC 9293 allows 500 ms, hosts take 200 ms at most.
const ACK_DELAY_MAX: Duration = Duration::from_millis(200);

/// The same for a FIN, whose ACK waits for no second segment: what a busy peer takes to see it.
const FIN_ACK_DELAY: Duration = Duration::from_millis(5);

/// The probe of one flight.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct TailProbe {
    /// TLP.end_seq; `None` when no probe is in flight.
    end: Option<SeqNum>,
    /// Where the segment that was sent ends.
    sent_end: SeqNum,
    /// TLP.is_retrans.
    is_again: bool,
    /// A probe was sent and no round trip was measured since.
    unmeasured: bool,
    /// A probe is to be sent now.
    pub(in crate::tcp) due: bool,
    /// It is to be the first segment, see [`Connection::nothing_acked`].
    pub(in crate::tcp) is_first: bool,
}

/// What an ACK tells of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Verdict {
    /// Nothing, or that nothing was lost.
    Nothing,
    /// The probe repaired the loss of the last segment.
    Repaired,
    /// The probe was for nothing: the ACK was late.
    Vain,
}

impl TailProbe {
    /// RFC 8985 §7.3: no other probe in flight, and a round trip measured since the last one.
    pub(super) const fn may_probe(&self) -> bool {
        self.end.is_none() && !self.unmeasured
    }

    /// The probe that was due is sent, up to `sent_end`, and SND.NXT is `nxt`.
    pub(in crate::tcp) const fn on_sent(&mut self, nxt: SeqNum, sent_end: SeqNum, is_again: bool) {
        *self = Self {
            end: Some(nxt),
            sent_end,
            is_again,
            unmeasured: true,
            due: false,
            is_first: false,
        };
    }

    /// Whether what an ACK of later data tells still matters: the probe may have repaired a loss.
    pub(in crate::tcp) const fn is_pending(&self) -> bool {
        self.end.is_some()
    }

    /// After the segment that the probe was.
    pub(super) const fn sent_end(&self) -> SeqNum {
        self.sent_end
    }

    /// A round trip was measured.
    pub(super) const fn on_rtt(&mut self) {
        self.unmeasured = false;
    }

    /// RFC 8985 §7.1: fast recovery or RTO recovery begins.
    pub(super) const fn reset(&mut self) {
        self.end = None;
        self.is_again = false;
        self.due = false;
    }

    /// Whether the probe in flight, sent before, ends at `end`.
    pub(super) fn is_probe_of(&self, end: SeqNum) -> bool {
        self.is_again && self.end.is_some() && self.sent_end == end
    }

    /// RFC 8985 §7.4.2, TLP_process_ack.
    pub(super) fn on_ack(&mut self, ack: SeqNum, dsack: Option<SeqNum>, is_bare: bool) -> Verdict {
        let Some(end) = self.end.filter(|end| ack.at_or_after(*end)) else {
            return Verdict::Nothing;
        };
        let (told_twice, past) = (dsack == Some(self.sent_end), ack.after(end));
        if !self.is_again || told_twice || past || is_bare {
            self.end = None;
        }
        // "Case 1" and "case 2" tell that both copies arrived.
        match (self.is_again, told_twice, past) {
            (true, true, _) => Verdict::Vain,
            (true, false, true) => Verdict::Repaired,
            (true, false, false) if is_bare => Verdict::Vain,
            _ => Verdict::Nothing,
        }
    }
}

impl Connection {
    /// RFC 8985 §7.2, TLP_calc_PTO, not past the retransmission timeout; `None` where other means serve:
    ///   > unless it is already in fast recovery, RTO recovery, or segments have been SACKed
    ///
    /// or where no probe could be sent (§7.3), as without any round trip measured. Counted is from when the
    /// last segment was sent, as RFC 7765 §4 counts the timeout, so that the end of a flight is repaired
    /// within two round trips; but an ACK that advances gives one more.
    pub(super) fn probe_at(&self, env: &Env<'_>, rto_at: Instant) -> Option<Instant> {
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
    pub(super) fn on_probe_deadline(&mut self, env: &Env<'_>) {
        let is_first = env.settings.probe_with_first && self.nothing_acked();
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
    pub(super) fn awaits_fin_probe(&self, env: &Env<'_>) -> bool {
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
    pub(super) fn probe_fin(&mut self, env: &mut Env<'_>) {
        let mut flight = env.pool.flights.acquire(self.snd.una, env.now);
        flight.board.on_sent(self.snd.nxt, micros(env.now), RateStamp::default());
        self.recovery.flight = Some(flight);
        self.on_probe_deadline(env);
    }
}
