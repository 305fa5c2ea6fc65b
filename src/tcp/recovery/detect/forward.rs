//! F-RTO with SACK (RFC 5682 §3.1): detects a spurious timeout from segments that arrive after it
//! without retransmission.
//!
//! Owns the steps. The undo is the caller's part.

use crate::tcp::SeqNum;

/// State of F-RTO after a timeout.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct ForwardProbe {
    step: Step,
    /// RecoveryPoint.
    recovery_point: SeqNum,
    /// New segments that may still be sent regardless of cwnd.
    segments: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Off,
    /// Step 2: waits for the first ACK of retransmitted data.
    Waiting,
    /// Step 3: new data is in flight.
    Probing,
}

/// Result of F-RTO for an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Finding {
    /// Undecided, or not spurious.
    Open,
    /// The timeout was spurious.
    Spurious,
}

/// Facts of an ACK after a timeout.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Answer {
    pub(in crate::tcp) ack: SeqNum,
    /// True if SND.UNA advanced.
    pub(in crate::tcp) advances: bool,
    /// True if it delivers data that was sent before the timeout and not retransmitted.
    pub(in crate::tcp) original: bool,
    /// Highest sequence number that the ACK covers, cumulatively or selectively.
    pub(in crate::tcp) highest: SeqNum,
    /// SND.NXT.
    pub(in crate::tcp) nxt: SeqNum,
    /// True if unsent data exists and the peer's window allows it.
    pub(in crate::tcp) has_new: bool,
}

impl ForwardProbe {
    /// Starts at step 1. "This algorithm SHOULD NOT be applied if the TCP sender is already in loss
    /// recovery" (`recovering`).
    pub(in crate::tcp) fn begin(&mut self, nxt: SeqNum, recovering: bool) {
        let step = if recovering { Step::Off } else { Step::Waiting };
        *self = Self { step, recovery_point: nxt, segments: 0 };
    }

    /// Returns true while F-RTO waits for the first ACK. If the timer expires again then, it "MUST
    /// re-start the algorithm processing from step 1".
    pub(in crate::tcp) fn awaits_answer(&self) -> bool {
        self.step == Step::Waiting
    }

    pub(in crate::tcp) fn end(&mut self) {
        *self = Self::default();
    }

    /// Returns true if new data precedes pending retransmissions.
    pub(in crate::tcp) fn holds_back(&self) -> bool {
        self.step == Step::Probing
    }

    /// Returns true if a new segment may exceed cwnd.
    pub(in crate::tcp) fn allows_new(&self) -> bool {
        self.step == Step::Probing && self.segments > 0
    }

    /// Counts a new segment as sent.
    pub(in crate::tcp) fn on_sent_new(&mut self) {
        self.segments = self.segments.saturating_sub(1);
    }

    /// Applies an ACK: steps 2 and 3.
    pub(in crate::tcp) fn on_ack(&mut self, answer: &Answer) -> Finding {
        match self.step {
            Step::Off => Finding::Open,
            // "If duplicate ACKs arrive before the cumulative acknowledgment for retransmitted data
            // [...] Stay in step 2".
            Step::Waiting if !answer.advances => Finding::Open,
            Step::Waiting => {
                // (a) all is acknowledged, or no new data can be sent: conventional recovery.
                let probes = answer.ack.before(self.recovery_point) && answer.has_new;
                // "set variable "RecoveryPoint" to indicate the highest sequence number transmitted
                // so far"; (b) "transmit up to two new (previously unsent) segments and proceed to
                // step 3".
                *self = Self {
                    step: if probes { Step::Probing } else { Step::Off },
                    recovery_point: answer.nxt,
                    segments: 2,
                };
                Finding::Open
            }
            Step::Probing => {
                let beyond = answer.highest.after(self.recovery_point);
                self.end();
                // (b) "does not cover more than "RecoveryPoint" AND it acknowledges data that was
                // not acknowledged earlier"; (a) otherwise.
                if answer.original && !beyond { Finding::Spurious } else { Finding::Open }
            }
        }
    }
}
