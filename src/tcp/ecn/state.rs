//! ECN state of a connection: the negotiated mode, and feedback of either kind (RFC 3168,
//! RFC 9768).

use super::accurate::Accurate;
use super::classic::Classic;
use super::codepoint::{Codepoint, EcnMode};
use crate::tcp::SeqNum;

/// ECN of one connection.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Ecn {
    pub(in crate::tcp) feedback: Feedback,
    /// Data up to this number was sent before the last response to marks. More marks in it report
    /// the same congestion (RFC 3168 §6.1.2).
    pub(in crate::tcp) responded: SeqNum,
    /// Bytes reported as CE-marked and not yet passed to congestion control.
    pub(in crate::tcp) marked: u32,
    /// Our SYN was marked, when there was no window to reduce.
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

    /// Creates the state of a server that accepted `mode`; the peer's SYN arrived as `syn`.
    /// `capable` permits sending ECT.
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

    /// Returns SND.NXT at the last response to marks; ISS before.
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

    /// Returns true if the window was already reduced for the flight from `una` on.
    pub(in crate::tcp) fn has_responded(&self, iss: SeqNum, una: SeqNum) -> bool {
        self.responded != iss && una.before(self.responded)
    }

    /// Returns true if a pure ACK must report the SYN-ACK's codepoint (RFC 9768 §3.2.2.1).
    pub(in crate::tcp) const fn has_pending_reflection(&self) -> bool {
        matches!(&self.feedback, Feedback::Accurate(accurate) if accurate.has_pending_reflection())
    }
}
