//! The walk over extension headers to the upper layer.

use super::fragment::{FRAGMENT_HEADER_LEN, Fragment};
use super::header::HEADER_LEN;
use crate::wire::error::Error;
use crate::wire::protocol::Protocol;

/// Maximum number of extension headers per packet. Real packets have one or two; without a limit, a
/// single packet could cost a lot of work (RFC 8504 §5.3 allows a limit).
pub const EXTENSIONS_MAX: usize = 8;

/// Offset of the next-header field in the fixed header.
const NEXT_HEADER_AT: u16 = 6;

/// The parameter problem to report to the source of a rejected packet (RFC 8200 §4.2, §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Code of the message.
    pub code: u8,
    /// Offset of the unrecognized byte in the packet.
    pub pointer: u32,
    /// Report it even if the packet was sent to a multicast group.
    pub even_if_multicast: bool,
}

/// Reason for rejecting a packet, and the problem to report to its source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    pub(super) problem: Option<Problem>,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { error, problem: None }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

/// The end of a chain of extension headers.
pub(super) struct Upper<'a> {
    pub(super) protocol: Protocol,
    pub(super) fragment: Option<Fragment>,
    pub(super) has_fragment_header: bool,
    pub(super) extensions_len: u16,
    pub(super) payload: &'a [u8],
}

/// Returns true if `payload` contains the whole chain of extension headers that begins with
/// `first`, and the upper-layer header. RFC 8200 §4.5 requires this of a first fragment
/// (RFC 7112 §5).
pub fn reaches_upper_layer(first: Protocol, payload: &[u8]) -> bool {
    walk(first, payload).is_ok_and(|upper| {
        let least = match upper.protocol {
            Protocol::TCP => 20,
            Protocol::UDP | Protocol::ICMPV6 => 8,
            _ => 0,
        };
        upper.payload.len() >= least
    })
}

/// Follows the chain to the first header that is not an extension header, or to a fragment.
#[inline(never)]
pub(super) fn walk(first: Protocol, payload: &[u8]) -> Result<Upper<'_>, Fault> {
    let (mut protocol, mut rest) = (first, payload);
    let (mut next_header_at, mut has_fragment_header) = (NEXT_HEADER_AT, false);
    for position in 0..=EXTENSIONS_MAX {
        let at = HEADER_LEN + payload.len() - rest.len();
        let (next, part, after) = match protocol {
            // RFC 8200 §4.1: hop-by-hop options directly follow the fixed header.
            Protocol::HOP_BY_HOP if position > 0 => return Err(Error::Malformed.into()),
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS => options(rest, at)?,
            Protocol::ROUTING => routing(rest, at)?,
            Protocol::FRAGMENT => fragment(rest, next_header_at)?,
            _ => (protocol, None, rest),
        };
        has_fragment_header |= protocol == Protocol::FRAGMENT;
        if part.is_some() || after.len() == rest.len() {
            let extensions_len = (payload.len() - after.len()) as u16;
            return Ok(Upper {
                protocol: next,
                fragment: part,
                has_fragment_header,
                extensions_len,
                payload: after,
            });
        }
        // Every extension header begins with its next-header field.
        next_header_at = at as u16;
        (protocol, rest) = (next, after);
    }
    Err(Error::Malformed.into())
}

/// Result of an extension header: the next header, the fragment if it is one, and the rest.
type Step<'a> = (Protocol, Option<Fragment>, &'a [u8]);

/// Splits off an extension header of the common format. Returns its next header, its bytes behind
/// the first two, and the rest.
fn extension(bytes: &[u8]) -> Result<(Protocol, &[u8], &[u8]), Error> {
    let &[next, units, ..] = bytes else { return Err(Error::Truncated) };
    let len = (usize::from(units) + 1) * 8;
    let (own, rest) = bytes.split_at_checked(len).ok_or(Error::Truncated)?;
    Ok((Protocol(next), &own[2..], rest))
}

/// Checks hop-by-hop or destination options that begin at offset `at` of the packet. None is
/// processed; some require the packet to be discarded.
fn options(bytes: &[u8], at: usize) -> Result<Step<'_>, Fault> {
    let (next, own, rest) = extension(bytes)?;
    let mut area = own;
    while let [kind, after @ ..] = area {
        let pointer = (at + 2 + own.len() - area.len()) as u32;
        area = after;
        if *kind == 0 {
            continue;
        }
        let [len, after @ ..] = area else { return Err(Error::Malformed.into()) };
        area = after.get(usize::from(*len)..).ok_or(Error::Malformed)?;
        if kind >> 6 != 0 {
            return Err(unknown_option(*kind, pointer));
        }
    }
    Ok((next, None, rest))
}

/// RFC 8200 §4.2: the two highest bits of an unknown option give the action. 00 skips the option,
/// the others discard the packet; 10 and 11 also report to the source
///
/// > Parameter Problem, Code 2, message [...] pointing to the unrecognized Option Type
///
/// With 11 the report is omitted if the packet was sent to a multicast group.
const fn unknown_option(kind: u8, pointer: u32) -> Fault {
    let problem = match kind >> 6 {
        0b10 => Some(Problem { code: 2, pointer, even_if_multicast: true }),
        0b11 => Some(Problem { code: 2, pointer, even_if_multicast: false }),
        _ => None,
    };
    Fault { error: Error::Unsupported, problem }
}

/// RFC 8200 §4.4:
/// > If Segments Left is zero, the node must ignore the Routing header and proceed to process the
/// > next header in the packet [...] If Segments Left is non-zero, the node must discard the packet
/// > and send an ICMP Parameter Problem, Code 0, message to the packet's Source Address,
/// > pointing to the unrecognized Routing Type.
///
/// This also applies to type 0 (RFC 5095 §3).
fn routing(bytes: &[u8], at: usize) -> Result<Step<'_>, Fault> {
    let (next, own, rest) = extension(bytes)?;
    match own {
        [_, 0, ..] => Ok((next, None, rest)),
        _ => {
            let pointer = at as u32 + 2;
            let problem = Some(Problem { code: 0, pointer, even_if_multicast: false });
            Err(Fault { error: Error::Unsupported, problem })
        }
    }
}

fn fragment(bytes: &[u8], next_header_at: u16) -> Result<Step<'_>, Error> {
    let (own, rest) = bytes.split_first_chunk::<FRAGMENT_HEADER_LEN>().ok_or(Error::Truncated)?;
    let &[next, _, o0, o1, i0, i1, i2, i3] = own;
    let field = u16::from_be_bytes([o0, o1]);
    let fragment = Fragment {
        ident: u32::from_be_bytes([i0, i1, i2, i3]),
        offset_bytes: field & !0b111,
        more: field & 1 == 1,
        next_header_at,
    };
    // RFC 8200 §4.5, RFC 6946 §4: an atomic fragment is processed as a packet that needs no
    // reassembly.
    let whole = fragment.offset_bytes == 0 && !fragment.more;
    Ok((Protocol(next), Some(fragment).filter(|_| !whole), rest))
}
