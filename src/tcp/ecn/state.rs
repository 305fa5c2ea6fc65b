//! The congestion notification of one connection: what both ends agreed on, and the feedback of either kind
//! (RFC 3168, RFC 9768).

use super::accurate::Accurate;
use super::classic::Classic;
use super::codepoint::{Codepoint, EcnMode};
use crate::tcp::SeqNum;

/// ECN of one connection.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Ecn {
    pub(in crate::tcp) feedback: Feedback,
    /// The numbers up to here were sent before the last response to marks: marks among them say the same
    /// again (RFC 3168 §6.1.2).
    pub(in crate::tcp) responded: SeqNum,
    /// Bytes that the peer says came marked, and congestion control was not told of yet.
    pub(in crate::tcp) marked: u32,
    /// A mark on our SYN, when there was no window to reduce.
    pub(in crate::tcp) response_pending: bool,
}

#[derive(Clone, Debug)]
pub(in crate::tcp) enum Feedback {
    Classic(Classic),
    Accurate(Accurate),
}

impl Ecn {
    pub(in crate::tcp) const fn new(feedback: Feedback, iss: SeqNum) -> Self {
        Self { feedback, responded: iss, marked: 0, response_pending: false }
    }

    /// The state of a server that agreed to `mode`, whose peer's SYN came with `syn`. `capable` says whether it
    /// may send ECT.
    pub(in crate::tcp) const fn server(
        mode: EcnMode,
        syn: Codepoint,
        capable: bool,
        iss: SeqNum,
    ) -> Option<Self> {
        let feedback = match mode {
            EcnMode::None => return None,
            EcnMode::Classic => Feedback::Classic(Classic::new(capable)),
            EcnMode::Accurate => Feedback::Accurate(Accurate::server(syn, capable)),
        };
        Some(Self::new(feedback, iss))
    }

    /// SND.NXT when marks were last responded to; ISS before.
    #[cfg(test)]
    pub(in crate::tcp) const fn responded_at(&self) -> SeqNum {
        self.responded
    }

    pub(in crate::tcp) const fn mode(&self) -> EcnMode {
        match self.feedback {
            Feedback::Classic(_) => EcnMode::Classic,
            Feedback::Accurate(_) => EcnMode::Accurate,
        }
    }

    /// Whether the window was reduced for what is in flight from `una` on.
    pub(in crate::tcp) fn has_responded(&self, iss: SeqNum, una: SeqNum) -> bool {
        self.responded != iss && una.before(self.responded)
    }

    /// Whether an ACK alone is owed, to tell how the SYN-ACK came (RFC 9768 §3.2.2.1).
    pub(in crate::tcp) const fn has_pending_reflection(&self) -> bool {
        matches!(&self.feedback, Feedback::Accurate(accurate) if accurate.has_pending_reflection())
    }
}
