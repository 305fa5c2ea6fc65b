//! ICMP for IPv6 (RFC 4443).

use super::quote::{self, Quote};
use super::{Echo, HEADER_LEN};
use crate::wire::checksum::{self, PseudoHeader, Verdict};
use crate::wire::error::{Error, NoRoom};
use crate::wire::protocol::Protocol;

/// Message types.
mod kind {
    pub const UNREACHABLE: u8 = 1;
    pub const TOO_BIG: u8 = 2;
    pub const TIME_EXCEEDED: u8 = 3;
    pub const PARAMETER_PROBLEM: u8 = 4;
    pub const ECHO_REQUEST: u8 = 128;
    pub const ECHO_REPLY: u8 = 129;
    pub const ROUTER_SOLICITATION: u8 = 133;
    pub const REDIRECT: u8 = 137;
}

/// Why a destination cannot be reached (RFC 4443 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route.
    NoRoute,
    /// Forbidden.
    Prohibited,
    /// Outside of the source's scope.
    BeyondScope,
    /// No such neighbour, or another reason.
    Address,
    /// Nobody listens on the port.
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

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Send it back.
    EchoRequest(Echo<'a>),
    /// Sent back.
    EchoReply(Echo<'a>),
    /// A packet did not arrive.
    Unreachable {
        /// Why.
        reason: Unreachable,
        /// The start of the packet; see [`quoted`].
        quote: &'a [u8],
    },
    /// A packet was larger than the next link's MTU.
    TooBig {
        /// Bytes.
        mtu: u32,
        /// The start of the packet.
        quote: &'a [u8],
    },
    /// A packet ran out of hops (code 0) or its parts out of time (code 1).
    TimeExceeded {
        /// Which.
        code: u8,
        /// The start of the packet.
        quote: &'a [u8],
    },
    /// A header of a packet made no sense.
    ParameterProblem {
        /// Which kind of problem.
        code: u8,
        /// The byte of the packet that did not.
        pointer: u32,
        /// The start of the packet.
        quote: &'a [u8],
    },
    /// Neighbour Discovery, the whole message: for `ndp::parse`.
    NeighbourDiscovery(&'a [u8]),
    /// Any other type.
    Other {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
}

/// Reads a message and checks its sum.
///
/// # Errors
/// [`Error::Truncated`] below eight bytes, [`Error::Checksum`] when the sum is wrong.
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

/// What an error's quote tells.
///
/// # Errors
/// - [`Error::Truncated`]: it ends before the upper layer's first eight bytes.
/// - [`Error::Malformed`]: no IPv6 header, or a chain of extension headers that cannot be.
/// - [`Error::Unsupported`]: a later fragment, which has no ports.
pub fn quoted(quote: &[u8]) -> Result<Quote, Error> {
    quote::parse_v6(quote)
}

/// Sums a complete message whose sum field is zero, and fills the field in.
pub(in crate::wire) fn seal(pseudo: PseudoHeader, message: &mut [u8]) {
    let sum = pseudo.with(Protocol::ICMPV6, message.len()).plus(checksum::sum(message));
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.checksum().to_be_bytes());
    }
}

impl Message<'_> {
    /// Writes the message with its sum to the start of `bytes`; gives its length.
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
        seal(pseudo, message);
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
    seal(pseudo, message);
    Ok(message.len())
}
