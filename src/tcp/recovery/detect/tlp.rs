//! Tail loss probes: when no ACK arrives, one segment is sent to elicit an ACK before the RTO
//! expires, which would collapse the window (RFC 8985 §7). Replaces the earlier timer of RFC 7765:
//! the ACK lets RACK detect the loss, and cwnd is kept.
//!
//! Owns the state of the probe in flight. The choice of the segment is the caller's part.

use crate::tcp::SeqNum;

/// Probe state of one flight.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct TailProbe {
    /// TLP.end_seq; `None` when no probe is in flight.
    end: Option<SeqNum>,
    /// End of the probe segment.
    sent_end: SeqNum,
    /// TLP.is_retrans.
    is_again: bool,
    /// True if a probe was sent and no RTT was measured since.
    unmeasured: bool,
    /// True if a probe is pending.
    pub(in crate::tcp) due: bool,
    /// True if the probe is the first segment: the peer has acknowledged only the SYN.
    pub(in crate::tcp) is_first: bool,
}

/// Result of an ACK for the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Verdict {
    /// Undecided, or no loss.
    Nothing,
    /// The probe repaired the loss of the last segment.
    Repaired,
    /// The probe was unnecessary: the ACK was late.
    Spurious,
}

impl TailProbe {
    /// Returns true if no probe is in flight and an RTT was measured since the last one (RFC 8985
    /// §7.3).
    pub(in crate::tcp) const fn may_probe(&self) -> bool {
        self.end.is_none() && !self.unmeasured
    }

    /// Records the probe as sent, ending at `sent_end`, with SND.NXT at `nxt`.
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

    /// Returns true if a probe is in flight whose result an ACK of later data may still reveal.
    pub(in crate::tcp) const fn is_pending(&self) -> bool {
        self.end.is_some()
    }

    /// Returns the end of the probe segment.
    pub(in crate::tcp) const fn sent_end(&self) -> SeqNum {
        self.sent_end
    }

    /// Records that an RTT was measured.
    pub(in crate::tcp) const fn on_rtt(&mut self) {
        self.unmeasured = false;
    }

    /// Resets the probe at the start of fast recovery or RTO recovery (RFC 8985 §7.1).
    pub(in crate::tcp) const fn reset(&mut self) {
        self.end = None;
        self.is_again = false;
        self.due = false;
    }

    /// Returns true if the probe in flight is a retransmission that ends at `end`.
    pub(in crate::tcp) fn is_probe_of(&self, end: SeqNum) -> bool {
        self.is_again && self.end.is_some() && self.sent_end == end
    }

    /// Applies an ACK (RFC 8985 §7.4.2, TLP_process_ack).
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
        // "Case 1" and "case 2" show that both copies arrived.
        match (self.is_again, told_twice, past) {
            (true, true, _) => Verdict::Spurious,
            (true, false, true) => Verdict::Repaired,
            (true, false, false) if is_bare => Verdict::Spurious,
            _ => Verdict::Nothing,
        }
    }
}
