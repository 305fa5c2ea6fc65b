//! Tail loss probes: when nothing answers, one segment is sent to get an answer before the timer that
//! would cost the whole window expires (RFC 8985 §7). In place of RFC 7765's earlier timer, since the
//! answer tells RACK what is lost, and the window is kept.
//!
//! Owns the probe under way. Refuses to know which segment it is.

use crate::tcp::SeqNum;

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
    /// The probe is the first segment: the peer has acknowledged nothing but the SYN.
    pub(in crate::tcp) is_first: bool,
}

/// What an ACK tells of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Verdict {
    /// Nothing, or that nothing was lost.
    Nothing,
    /// The probe repaired the loss of the last segment.
    Repaired,
    /// The probe was for nothing: the ACK was late.
    Spurious,
}

impl TailProbe {
    /// RFC 8985 §7.3: no other probe in flight, and a round trip measured since the last one.
    pub(in crate::tcp) const fn may_probe(&self) -> bool {
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
    pub(in crate::tcp) const fn sent_end(&self) -> SeqNum {
        self.sent_end
    }

    /// A round trip was measured.
    pub(in crate::tcp) const fn on_rtt(&mut self) {
        self.unmeasured = false;
    }

    /// RFC 8985 §7.1: fast recovery or RTO recovery begins.
    pub(in crate::tcp) const fn reset(&mut self) {
        self.end = None;
        self.is_again = false;
        self.due = false;
    }

    /// Whether the probe in flight, sent before, ends at `end`.
    pub(in crate::tcp) fn is_probe_of(&self, end: SeqNum) -> bool {
        self.is_again && self.end.is_some() && self.sent_end == end
    }

    /// RFC 8985 §7.4.2, TLP_process_ack.
    pub(in crate::tcp) fn on_ack(
        &mut self,
        ack: SeqNum,
        dsack: Option<SeqNum>,
        is_bare: bool,
    ) -> Verdict {
        let Some(end) = self.end.filter(|end| ack.at_or_after(*end)) else {
            return Verdict::Nothing;
        };
        let (told_twice, past) = (dsack == Some(self.sent_end), ack.after(end));
        if !self.is_again || told_twice || past || is_bare {
            self.end = None;
        }
        // "Case 1" and "case 2" tell that both copies arrived.
        match (self.is_again, told_twice, past) {
            (true, true, _) => Verdict::Spurious,
            (true, false, true) => Verdict::Repaired,
            (true, false, false) if is_bare => Verdict::Spurious,
            _ => Verdict::Nothing,
        }
    }
}
