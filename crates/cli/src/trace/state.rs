//! The state of one end, inferred from what it is seen to send and to receive.
//!
//! RFC 9293 §3.3.2, figure 5, with the user's calls left out: that a program has called is seen from what
//! its stack sends.

use linerate::wire::tcp::flag;

use super::capture::Captured;

/// The states of RFC 9293 §3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl State {
    /// As the RFC writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

/// One end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// Where it stands.
    pub state: State,
    /// Its initial sequence number, once seen; of a capture that begins later, the first number seen.
    pub iss: Option<u32>,
    /// The highest number it has sent, plus one.
    pub sent_to: Option<u32>,
    /// The number after its FIN.
    fin_end: Option<u32>,
    /// Up to where it has received without a hole.
    received_to: Option<u32>,
    /// The number after the peer's FIN, seen beyond a hole.
    fin_awaited: Option<u32>,
}

impl Endpoint {
    /// In a state, nothing seen.
    pub fn new(state: State) -> Self {
        Self {
            state,
            iss: None,
            sent_to: None,
            fin_end: None,
            received_to: None,
            fin_awaited: None,
        }
    }

    /// Whether data or a FIN of it was sent before.
    pub fn has_sent(&self, segment: &Captured) -> bool {
        let is_old = self.sent_to.is_some_and(|to| !is_after(segment.end(), to));
        is_old && segment.end() != segment.seq
    }

    /// It sends a segment.
    pub fn on_send(&mut self, segment: &Captured) {
        self.iss.get_or_insert(segment.seq);
        if self.sent_to.is_none_or(|to| is_after(segment.end(), to)) {
            self.sent_to = Some(segment.end());
        }
        if segment.has(flag::RST) {
            self.state = State::Closed;
            return;
        }
        // That it acknowledges a FIN proves that it has all before it.
        if segment.has(flag::ACK) && self.fin_awaited.is_some_and(|end| !is_after(end, segment.ack))
        {
            self.on_fin();
        }
        self.state = match self.state {
            State::Closed | State::Listen if segment.opens() => State::SynSent,
            State::Closed | State::Listen if segment.has(flag::SYN) => State::SynReceived,
            State::Established | State::SynReceived if segment.has(flag::FIN) => State::FinWait1,
            // It had not heard of the peer's FIN when it sent its own: they crossed.
            State::CloseWait if segment.has(flag::FIN) && self.is_deaf(segment) => State::Closing,
            State::CloseWait if segment.has(flag::FIN) => State::LastAck,
            unmoved => unmoved,
        };
        if segment.has(flag::FIN) {
            self.fin_end = Some(segment.end());
        }
    }

    /// Whether its segment leaves the peer's FIN, which was seen on its way, unacknowledged.
    fn is_deaf(&self, segment: &Captured) -> bool {
        self.fin_awaited.is_some_and(|end| is_after(end, segment.ack))
    }

    /// A segment of the peer reaches it.
    pub fn on_receive(&mut self, segment: &Captured) {
        if segment.has(flag::RST) {
            self.state = State::Closed;
            return;
        }
        if segment.has(flag::SYN) {
            self.received_to = Some(segment.end());
            self.state = match self.state {
                State::Listen => State::SynReceived,
                State::SynSent if segment.has(flag::ACK) => State::Established,
                State::SynSent => State::SynReceived,
                unmoved => unmoved,
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
            State::SynReceived if is_syn_acked => State::Established,
            State::FinWait1 if is_fin_acked => State::FinWait2,
            State::Closing if is_fin_acked => State::TimeWait,
            State::LastAck if is_fin_acked => State::Closed,
            unmoved => unmoved,
        };
    }

    /// Data and FIN, in order or not.
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
            State::SynReceived | State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            unmoved => unmoved,
        };
    }
}

/// RFC 9293 §3.4: sequence numbers compare modulo 2^32.
pub fn is_after(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) > 0
}
