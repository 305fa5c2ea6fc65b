//! Tail loss probes: when nothing answers, one segment is sent to get an answer before the timer that
//! would cost the whole window expires (RFC 8985 §7). In place of RFC 7765's earlier timer, since the
//! answer tells RACK what is lost, and the window is kept.
//!
//! Owns the probe under way. Refuses to know which segment it is.

use crate::tcp::SeqNum;
use crate::tcp::connection::Connection;
use crate::tcp::interface::Env;
use crate::tcp::marks::Marks;
use crate::tcp::rate::RateStamp;
use crate::time::{Duration, Instant};

use super::{Alarm, Stage};

/// TLP.max_ack_delay (RFC 8985 §7.2): how long peers hold back the ACK of a single segment. RFC 9293
/// allows 500 ms, hosts take 200 ms at most.
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);

/// RFC 8985 §7.2: "when there is no SRTT estimate available, the PTO SHOULD be 1 second".
const PTO_WITHOUT_SRTT: Duration = Duration::from_secs(1);

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
        if self.is_again && past && !told_twice { Verdict::Repaired } else { Verdict::Nothing }
    }
}

impl Connection {
    /// RFC 8985 §7.2, TLP_calc_PTO, not past the retransmission timeout; `None` where other means serve:
    ///   > unless it is already in fast recovery, RTO recovery, or segments have been SACKed
    pub(super) fn probe_at(&self, env: &Env<'_>, rto_at: Instant) -> Option<Instant> {
        let flight = self.recovery.flight.as_deref()?;
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
        let pto = match self.recovery.rtt.srtt() {
            Some(srtt) if self.snd.outstanding() <= u32::from(self.snd.mss) => {
                srtt.times(2) + MAX_ACK_DELAY
            }
            Some(srtt) => srtt.times(2),
            None => PTO_WITHOUT_SRTT,
        };
        Some((env.now + pto).min(rto_at))
    }

    /// The timer of a FIN that was sent alone expired. Such a FIN has no flight, so that what opens and closes
    /// pays nothing for one; its first timeout is its probe (RFC 8985 §7.2: PTO is RTO at most), from where on
    /// it has. Whether it was so.
    pub(super) fn probes_with_fin(&mut self, env: &mut Env<'_>) -> bool {
        let (una, nxt) = (self.snd.una, self.snd.nxt);
        let alone = self.recovery.flight.is_none() && una == self.snd.end && nxt == una + 1;
        let fresh = self.recovery.stage == Stage::Open && self.recovery.backoff == 0;
        if !(alone && fresh && env.settings.tail_probes && self.marks.has(Marks::SACK)) {
            return false;
        }
        let mut flight = env.pool.flights.acquire(una, env.now);
        let sent_at = env.now.as_micros().saturating_sub(self.rto(env.settings).as_micros());
        flight.board.on_sent(nxt, sent_at as u32, RateStamp::default());
        flight.tail.due = true;
        self.recovery.flight = Some(flight);
        self.arm_alarm(env, Alarm::Timeout);
        true
    }

    /// The probe timer expired: RFC 8985 §7.3, TLP_send_probe.
    ///   > After attempting to send a loss probe, regardless of whether a loss probe was sent, the sender
    ///   > MUST re-arm the RTO timer, not the PTO timer, if the FlightSize is not zero.
    pub(super) fn on_probe_deadline(&mut self, env: &Env<'_>) {
        let is_first = env.settings.probe_with_first && self.nothing_acked();
        if let Some(flight) = self.recovery.flight.as_deref_mut() {
            flight.tail.is_first = is_first;
            flight.tail.due = flight.tail.may_probe();
            flight.timer_since = env.now;
        }
        self.arm_alarm(env, Alarm::Timeout);
    }
}
