//! The state of one end, inferred from the segments that it sends and receives.
//!
//! RFC 9293 §3.3.2, figure 5, without the user calls: those show only in the segments that follow
//! them.

use linerate::tcp::Phase::{
    self, CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, SynReceived,
    SynSent, TimeWait,
};
use linerate::wire::tcp::flag;

use super::capture::Captured;

/// A state of RFC 9293 §3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// LISTEN, which is not the state of a connection.
    Listen,
    /// The state of a connection.
    In(Phase),
}

impl State {
    /// Returns the name as RFC 9293 writes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::In(phase) => phase.name(),
        }
    }
}

/// One end of the connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    /// Current state.
    pub state: State,
    /// Initial sequence number, once known. If the capture begins later, the first number seen.
    pub iss: Option<u32>,
    /// Highest sequence number sent, plus one.
    pub sent_to: Option<u32>,
    /// Sequence number after its FIN.
    fin_end: Option<u32>,
    /// Next sequence number expected: all before it has arrived.
    received_to: Option<u32>,
    /// Sequence number after the peer's FIN, once captured.
    fin_awaited: Option<u32>,
}

impl Endpoint {
    /// Creates an end in a state, before any segment.
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            iss: None,
            sent_to: None,
            fin_end: None,
            received_to: None,
            fin_awaited: None,
        }
    }

    /// Returns true if all of the segment's data, SYN and FIN were sent before.
    pub(super) fn has_sent(&self, segment: &Captured) -> bool {
        let is_old = self.sent_to.is_some_and(|to| !is_after(segment.end(), to));
        is_old && segment.end() != segment.seq
    }

    /// Updates the state for a segment that this end sends.
    pub(super) fn on_send(&mut self, segment: &Captured) {
        self.iss.get_or_insert(segment.seq);
        if self.sent_to.is_none_or(|to| is_after(segment.end(), to)) {
            self.sent_to = Some(segment.end());
        }
        if segment.has(flag::RST) {
            self.state = State::In(Closed);
            return;
        }
        // An ACK of the peer's FIN proves that all data before it has arrived.
        if segment.has(flag::ACK) && self.fin_awaited.is_some_and(|end| !is_after(end, segment.ack))
        {
            self.on_fin();
        }
        self.state = match self.state {
            State::In(Closed) | State::Listen if segment.opens() => State::In(SynSent),
            State::In(Closed) | State::Listen if segment.has(flag::SYN) => State::In(SynReceived),
            State::In(Established | SynReceived) if segment.has(flag::FIN) => State::In(FinWait1),
            // It sent its FIN before the peer's FIN arrived: the FINs crossed.
            State::In(CloseWait) if segment.has(flag::FIN) && self.leaves_fin_unacked(segment) => {
                State::In(Closing)
            }
            State::In(CloseWait) if segment.has(flag::FIN) => State::In(LastAck),
            unchanged => unchanged,
        };
        if segment.has(flag::FIN) {
            self.fin_end = Some(segment.end());
        }
    }

    /// Returns true if the segment does not acknowledge the peer's captured FIN.
    fn leaves_fin_unacked(&self, segment: &Captured) -> bool {
        self.fin_awaited.is_some_and(|end| is_after(end, segment.ack))
    }

    /// Updates the state for a segment that this end receives.
    pub(super) fn on_receive(&mut self, segment: &Captured) {
        if segment.has(flag::RST) {
            self.state = State::In(Closed);
            return;
        }
        if segment.has(flag::SYN) {
            self.received_to = Some(segment.end());
            self.state = match self.state {
                State::Listen => State::In(SynReceived),
                State::In(SynSent) if segment.has(flag::ACK) => State::In(Established),
                State::In(SynSent) => State::In(SynReceived),
                unchanged => unchanged,
            };
        }
        if segment.has(flag::ACK) {
            self.on_ack(segment.ack);
        }
        self.on_text(segment);
    }

    fn on_ack(&mut self, ack: u32) {
        let is_syn_acked = self.iss.is_some_and(|iss| is_after(ack, iss));
        let is_fin_acked = self.fin_end.is_some_and(|end| !is_after(end, ack));
        self.state = match self.state {
            State::In(SynReceived) if is_syn_acked => State::In(Established),
            State::In(FinWait1) if is_fin_acked => State::In(FinWait2),
            State::In(Closing) if is_fin_acked => State::In(TimeWait),
            State::In(LastAck) if is_fin_acked => State::In(Closed),
            unchanged => unchanged,
        };
    }

    /// Processes data and FIN, which may arrive out of order.
    fn on_text(&mut self, segment: &Captured) {
        let received_to = *self.received_to.get_or_insert(segment.seq);
        let is_in_order = !is_after(segment.seq, received_to);
        if is_in_order && is_after(segment.end(), received_to) {
            self.received_to = Some(segment.end());
        }
        if segment.has(flag::FIN) {
            self.fin_awaited.get_or_insert(segment.end());
            if is_in_order {
                self.on_fin();
            }
        }
    }

    fn on_fin(&mut self) {
        self.state = match self.state {
            State::In(SynReceived | Established) => State::In(CloseWait),
            State::In(FinWait1) => State::In(Closing),
            State::In(FinWait2) => State::In(TimeWait),
            unchanged => unchanged,
        };
    }
}

/// Returns true if `one` comes after `other`. RFC 9293 §3.4: sequence numbers compare modulo 2^32.
pub(super) fn is_after(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) > 0
}
