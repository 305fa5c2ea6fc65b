//! ICMP for IPv6 (RFC 4443).

use super::quote::{self, Quote};
use super::{Echo, HEADER_LEN};
use crate::wire::checksum::{self, PseudoHeader, Verdict};
use crate::wire::error::{Error, NoRoom};
use crate::wire::protocol::Protocol;

/// Message types.
mod kind {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    pub(super) const ECHO_REQUEST: u8 = 128;
    pub(super) const ECHO_REPLY: u8 = 129;
    pub(super) const ROUTER_SOLICITATION: u8 = 133;
    pub(super) const REDIRECT: u8 = 137;
}

/// Reason that a destination is unreachable (RFC 4443 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route to the destination.
    NoRoute,
    /// Administratively prohibited.
    Prohibited,
    /// Beyond the scope of the source address.
    BeyondScope,
    /// Address unreachable: no such neighbour, or another reason.
    Address,
    /// No program listens on the port.
    Port,
    /// Any other code.
    Other(u8),
}

impl Unreachable {
    fn from_wire(code: u8) -> Self {
        match code {
            0 => Self::NoRoute,
            1 => Self::Prohibited,
            2 => Self::BeyondScope,
            3 => Self::Address,
            4 => Self::Port,
            other => Self::Other(other),
        }
    }

    const fn to_wire(self) -> u8 {
        match self {
            Self::NoRoute => 0,
            Self::Prohibited => 1,
            Self::BeyondScope => 2,
            Self::Address => 3,
            Self::Port => 4,
            Self::Other(code) => code,
        }
    }
}

/// An ICMPv6 message.
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
    /// A packet was larger than the MTU of the next link.
    TooBig {
        /// MTU of the next link in bytes.
        mtu: u32,
        /// The start of the packet.
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
        pointer: u32,
        /// The start of the packet.
        quote: &'a [u8],
    },
    /// A whole Neighbour Discovery message, for `ndp::parse`.
    NeighbourDiscovery(&'a [u8]),
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
pub fn parse(pseudo: PseudoHeader, bytes: &[u8]) -> Result<Message<'_>, Error> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
    if pseudo.verify(Protocol::ICMPV6, bytes, 2) != Verdict::Good {
        return Err(Error::Checksum);
    }
    let &[kind, code, _, _, b4, b5, b6, b7] = header;
    let word = u32::from_be_bytes([b4, b5, b6, b7]);
    let echo = Echo { ident: (word >> 16) as u16, sequence: word as u16, data: rest };
    Ok(match (kind, code) {
        (kind::ECHO_REQUEST, 0) => Message::EchoRequest(echo),
        (kind::ECHO_REPLY, 0) => Message::EchoReply(echo),
        (kind::UNREACHABLE, _) => {
            Message::Unreachable { reason: Unreachable::from_wire(code), quote: rest }
        }
        (kind::TOO_BIG, _) => Message::TooBig { mtu: word, quote: rest },
        (kind::TIME_EXCEEDED, _) => Message::TimeExceeded { code, quote: rest },
        (kind::PARAMETER_PROBLEM, _) => {
            Message::ParameterProblem { code, pointer: word, quote: rest }
        }
        (kind::ROUTER_SOLICITATION..=kind::REDIRECT, _) => Message::NeighbourDiscovery(bytes),
        _ => Message::Other { kind, code },
    })
}

/// Parses the packet that an error quotes.
///
/// # Errors
/// - [`Error::Truncated`]: the quote ends before the upper layer's first eight bytes.
/// - [`Error::Malformed`]: no IPv6 header, or an invalid chain of extension headers.
/// - [`Error::Unsupported`]: a later fragment, which has no ports.
pub fn quoted(quote: &[u8]) -> Result<Quote, Error> {
    quote::parse_v6(quote)
}

/// Computes and fills in the checksum of a complete message whose checksum field is zero.
pub(in crate::wire) fn fill_checksum(pseudo: PseudoHeader, message: &mut [u8]) {
    let sum = pseudo.with(Protocol::ICMPV6, message.len()).plus(checksum::sum(message));
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.checksum().to_be_bytes());
    }
}

impl Message<'_> {
    /// Writes the message with its checksum to the start of `bytes` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the message.
    pub fn emit(&self, pseudo: PseudoHeader, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let (kind, code, word, body) = match *self {
            Self::EchoRequest(e) => (kind::ECHO_REQUEST, 0, echo_word(e), e.data),
            Self::EchoReply(e) => (kind::ECHO_REPLY, 0, echo_word(e), e.data),
            Self::Unreachable { reason, quote } => (kind::UNREACHABLE, reason.to_wire(), 0, quote),
            Self::TooBig { mtu, quote } => (kind::TOO_BIG, 0, mtu, quote),
            Self::TimeExceeded { code, quote } => (kind::TIME_EXCEEDED, code, 0, quote),
            Self::ParameterProblem { code, pointer, quote } => {
                (kind::PARAMETER_PROBLEM, code, pointer, quote)
            }
            Self::NeighbourDiscovery(whole) => return emit_whole(pseudo, whole, bytes),
            Self::Other { kind, code } => (kind, code, 0, &[][..]),
        };
        let message = bytes.get_mut(..HEADER_LEN + body.len()).ok_or(NoRoom)?;
        let (header, rest) = message.split_first_chunk_mut::<HEADER_LEN>().ok_or(NoRoom)?;
        let [a, b, c, d] = word.to_be_bytes();
        *header = [kind, code, 0, 0, a, b, c, d];
        rest.copy_from_slice(body);
        fill_checksum(pseudo, message);
        Ok(message.len())
    }
}

fn echo_word(echo: Echo<'_>) -> u32 {
    u32::from(echo.ident) << 16 | u32::from(echo.sequence)
}

fn emit_whole(pseudo: PseudoHeader, whole: &[u8], bytes: &mut [u8]) -> Result<usize, NoRoom> {
    let message = bytes.get_mut(..whole.len()).ok_or(NoRoom)?;
    message.copy_from_slice(whole);
    message.get_mut(2..4).ok_or(NoRoom)?.fill(0);
    fill_checksum(pseudo, message);
    Ok(message.len())
}
