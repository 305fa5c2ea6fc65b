//! F-RTO with SACK (RFC 5682 §3.1): whether a timeout was only a delay, by what arrives after it without
//! having been sent again.
//!
//! Owns the steps. Refuses to know what is undone then.

use crate::tcp::SeqNum;

/// F-RTO with SACK (RFC 5682 §3.1), after a timeout.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct ForwardProbe {
    step: Step,
    /// RecoveryPoint.
    recovery_point: SeqNum,
    /// New segments that may still go, whatever cwnd is.
    segments: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Off,
    /// Step 2: waiting for the ACK of what was sent again.
    Waiting,
    /// Step 3: new data is under way.
    Probing,
}

/// What F-RTO makes of an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Finding {
    /// Nothing yet.
    Open,
    /// The timeout was spurious.
    Spurious,
}

/// What an ACK after a timeout tells.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Answer {
    pub(in crate::tcp) ack: SeqNum,
    /// Whether SND.UNA advanced.
    pub(in crate::tcp) advances: bool,
    /// Whether it delivers something that was sent before the timeout and not again since.
    pub(in crate::tcp) original: bool,
    /// The highest number that the ACK tells of, cumulatively or selectively.
    pub(in crate::tcp) highest: SeqNum,
    /// SND.NXT.
    pub(in crate::tcp) nxt: SeqNum,
    /// Whether new data may be sent, as far as the program and the peer's window go.
    pub(in crate::tcp) has_new: bool,
}

impl ForwardProbe {
    /// Step 1. "This algorithm SHOULD NOT be applied if the TCP sender is already in loss recovery"
    /// (`recovering`).
    pub(in crate::tcp) fn begin(&mut self, nxt: SeqNum, recovering: bool) {
        let step = if recovering { Step::Off } else { Step::Waiting };
        *self = Self { step, recovery_point: nxt, segments: 0 };
    }

    /// Whether it waits for the first answer: then it "MUST re-start the algorithm processing from step 1"
    /// when the timer expires again.
    pub(in crate::tcp) fn awaits_answer(&self) -> bool {
        self.step == Step::Waiting
    }

    pub(in crate::tcp) fn end(&mut self) {
        *self = Self::default();
    }

    /// Whether new data goes before what waits to be sent again.
    pub(in crate::tcp) fn holds_back(&self) -> bool {
        self.step == Step::Probing
    }

    /// Whether a new segment may go past cwnd.
    pub(in crate::tcp) fn allows_new(&self) -> bool {
        self.step == Step::Probing && self.segments > 0
    }

    /// A new segment is sent.
    pub(in crate::tcp) fn on_sent_new(&mut self) {
        self.segments = self.segments.saturating_sub(1);
    }

    /// Steps 2 and 3.
    pub(in crate::tcp) fn on_ack(&mut self, answer: &Answer) -> Finding {
        match self.step {
            Step::Off => Finding::Open,
            // "If duplicate ACKs arrive before the cumulative acknowledgment for retransmitted data [...]
            // Stay in step 2".
            Step::Waiting if !answer.advances => Finding::Open,
            Step::Waiting => {
                // (a) all is acknowledged, or nothing new can be sent: the conventional way.
                let probes = answer.ack.before(self.recovery_point) && answer.has_new;
                // "set variable "RecoveryPoint" to indicate the highest sequence number transmitted so
                // far"; (b) "transmit up to two new (previously unsent) segments and proceed to step 3".
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
                // (b) "does not cover more than "RecoveryPoint" AND it acknowledges data that was not
                // acknowledged earlier"; (a) otherwise.
                if answer.original && !beyond { Finding::Spurious } else { Finding::Open }
            }
        }
    }
}
