//! ICMP for IPv4 (RFC 792).

use super::quote::{self, Quote};
use super::{Echo, HEADER_LEN};
use crate::wire::checksum;
use crate::wire::error::{Error, NoRoom};

/// Message types.
mod kind {
    pub(super) const ECHO_REPLY: u8 = 0;
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const ECHO_REQUEST: u8 = 8;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    pub(super) const PARAMETER_PROBLEM: u8 = 12;
}

/// Reason that a destination is unreachable (RFC 792, RFC 1122 §3.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route to the network.
    Network,
    /// No route to the host.
    Host,
    /// The host does not implement the protocol.
    Protocol,
    /// No program listens on the port.
    Port,
    /// The packet is larger than the MTU of the next link, `mtu`. Routers that predate RFC 1191
    /// report zero.
    TooBig {
        /// MTU of the next link in bytes.
        mtu: u16,
    },
    /// Any other code.
    Other(u8),
}

impl Unreachable {
    fn from_wire(code: u8, mtu: u16) -> Self {
        match code {
            0 => Self::Network,
            1 => Self::Host,
            2 => Self::Protocol,
            3 => Self::Port,
            4 => Self::TooBig { mtu },
            other => Self::Other(other),
        }
    }

    const fn to_wire(self) -> (u8, u16) {
        match self {
            Self::Network => (0, 0),
            Self::Host => (1, 0),
            Self::Protocol => (2, 0),
            Self::Port => (3, 0),
            Self::TooBig { mtu } => (4, mtu),
            Self::Other(code) => (code, 0),
        }
    }
}

/// An ICMPv4 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Echo request.
    EchoRequest(Echo<'a>),
    /// Echo reply.
    EchoReply(Echo<'a>),
    /// A packet could not be delivered.
    Unreachable {
        /// The reason.
        reason: Unreachable,
        /// The start of the packet; see [`quoted`].
        quote: &'a [u8],
    },
    /// The hop limit (code 0) or the reassembly time (code 1) of a packet expired.
    TimeExceeded {
        /// 0: hop limit; 1: reassembly time.
        code: u8,
        /// The start of the packet.
        quote: &'a [u8],
    },
    /// A header of a packet was invalid.
    ParameterProblem {
        /// Kind of problem.
        code: u8,
        /// Offset of the invalid byte.
        pointer: u8,
        /// The start of the packet.
        quote: &'a [u8],
    },
    /// Any other type.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

/// Parses a message and verifies its checksum.
///
/// # Errors
/// [`Error::Truncated`] below eight bytes, [`Error::Checksum`] when the checksum is wrong.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, Error> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
    if !checksum::sum(bytes).is_intact() {
        return Err(Error::Checksum);
    }
    let &[kind, code, _, _, b4, b5, b6, b7] = header;
    let (high, low) = (u16::from_be_bytes([b4, b5]), u16::from_be_bytes([b6, b7]));
    let echo = Echo { ident: high, sequence: low, data: rest };
    Ok(match (kind, code) {
        (kind::ECHO_REQUEST, 0) => Message::EchoRequest(echo),
        (kind::ECHO_REPLY, 0) => Message::EchoReply(echo),
        (kind::UNREACHABLE, _) => {
            Message::Unreachable { reason: Unreachable::from_wire(code, low), quote: rest }
        }
        (kind::TIME_EXCEEDED, _) => Message::TimeExceeded { code, quote: rest },
        (kind::PARAMETER_PROBLEM, _) => {
            Message::ParameterProblem { code, pointer: b4, quote: rest }
        }
        _ => Message::Other { kind, code },
    })
}

/// Parses the packet that an error quotes.
///
/// # Errors
/// - [`Error::Truncated`]: less than the header and eight bytes.
/// - [`Error::Malformed`]: no IPv4 header.
/// - [`Error::Unsupported`]: a later fragment, which has no ports.
pub fn quoted(quote: &[u8]) -> Result<Quote, Error> {
    quote::parse_v4(quote)
}

impl Message<'_> {
    /// Writes the message with its checksum to the start of `bytes` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the message.
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let (kind, code, [b4, b5, b6, b7], body) = self.parts();
        let message = bytes.get_mut(..HEADER_LEN + body.len()).ok_or(NoRoom)?;
        let (header, rest) = message.split_first_chunk_mut::<HEADER_LEN>().ok_or(NoRoom)?;
        *header = [kind, code, 0, 0, b4, b5, b6, b7];
        let sum = checksum::sum(header).plus(checksum::copy_and_sum(body, rest));
        header[2..4].copy_from_slice(&sum.checksum().to_be_bytes());
        Ok(message.len())
    }

    /// Splits the message into type, code, the four bytes behind the checksum, and the rest.
    fn parts(&self) -> (u8, u8, [u8; 4], &[u8]) {
        let words = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            [a, b, c, d]
        };
        match *self {
            Self::EchoRequest(e) => (kind::ECHO_REQUEST, 0, words(e.ident, e.sequence), e.data),
            Self::EchoReply(e) => (kind::ECHO_REPLY, 0, words(e.ident, e.sequence), e.data),
            Self::Unreachable { reason, quote } => {
                let (code, mtu) = reason.to_wire();
                (kind::UNREACHABLE, code, words(0, mtu), quote)
            }
            Self::TimeExceeded { code, quote } => (kind::TIME_EXCEEDED, code, [0; 4], quote),
            Self::ParameterProblem { code, pointer, quote } => {
                (kind::PARAMETER_PROBLEM, code, [pointer, 0, 0, 0], quote)
            }
            Self::Other { kind, code } => (kind, code, [0; 4], &[]),
        }
    }
}
