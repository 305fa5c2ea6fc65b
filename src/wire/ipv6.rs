//! IPv6 headers (RFC 8200) and the walk over extension headers to the upper layer.
//!
//! Reports fragments without reassembling them; [`make_whole`] rewrites the header of a reassembled
//! packet.

use super::error::{Error, NoRoom};
use super::protocol::{Protocol, TrafficClass};
use core::net::Ipv6Addr;

#[cfg(test)]
mod tests;

/// Length of the fixed header in bytes.
pub const HEADER_LEN: usize = 40;

/// Minimum MTU of a link that carries IPv6 (RFC 8200 §5), in bytes.
pub const MTU_MIN: usize = 1280;

/// Maximum number of extension headers per packet. Real packets have one or two; without a limit, a
/// single packet could cost a lot of work (RFC 8504 §5.3 allows a limit).
pub const EXTENSIONS_MAX: usize = 8;

/// Offset of the next-header field in the fixed header.
const NEXT_HEADER_AT: u16 = 6;

/// Largest flow label.
const FLOW_LABEL_MASK: u32 = 0x000f_ffff;

/// A fragment of a packet (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Identification shared by the fragments of a packet.
    pub ident: u32,
    /// Offset of the fragment in bytes.
    pub offset_bytes: u16,
    /// More fragments follow.
    pub more: bool,
    /// Offset of the next-header field that announces the fragment header. After reassembly, when
    /// the fragment header is gone, that field names the header behind it.
    pub announced_at: u16,
}

/// A received header with the findings of its extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// Flow label, 20 bits.
    pub flow_label: u32,
    /// Bytes behind the fixed header, extension headers included.
    pub payload_len: u16,
    /// Length of the extension headers in bytes.
    pub extensions_len: u16,
    /// Upper-layer protocol. For a fragment, the next header of the fragment header.
    pub protocol: Protocol,
    /// Remaining hops.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Set if the packet is a fragment. An atomic fragment (RFC 6946) counts as a whole packet.
    pub fragment: Option<Fragment>,
    /// The packet has a fragment header, even an atomic one (RFC 6980 §5).
    pub has_fragment_header: bool,
}

/// The parameter problem to report to the source of a rejected packet (RFC 8200 §4.2, §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Code of the message.
    pub code: u8,
    /// Offset of the unrecognized byte in the packet.
    pub pointer: u32,
    /// Report it even if the packet was sent to a multicast group.
    pub of_groups_too: bool,
}

/// Reason for rejecting a packet, and the problem to report to its source.
#[derive(Clone, Copy, Debug)]
struct Fault {
    error: Error,
    problem: Option<Problem>,
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

/// A header to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderOut {
    /// Source address.
    pub src: Ipv6Addr,
    /// Destination address.
    pub dst: Ipv6Addr,
    /// Next header.
    pub protocol: Protocol,
    /// Maximum number of hops.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Flow label, 20 bits, the same for all packets of a flow (RFC 6437).
    pub flow_label: u32,
}

impl HeaderOut {
    /// Writes a header for `payload_len` bytes to the start of `bytes` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the header or the payload exceeds 65,535 bytes.
    #[inline]
    pub fn emit(&self, payload_len: usize, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let header = bytes.first_chunk_mut::<HEADER_LEN>().ok_or(NoRoom)?;
        let payload_len = u16::try_from(payload_len).map_err(|_| NoRoom)?;
        let first =
            6 << 28 | u32::from(self.traffic_class.0) << 20 | self.flow_label & FLOW_LABEL_MASK;
        header[0..4].copy_from_slice(&first.to_be_bytes());
        header[4..6].copy_from_slice(&payload_len.to_be_bytes());
        header[6] = self.protocol.0;
        header[7] = self.hop_limit;
        header[8..24].copy_from_slice(&self.src.octets());
        header[24..40].copy_from_slice(&self.dst.octets());
        Ok(HEADER_LEN)
    }
}

/// Parses the header and walks the extension headers. Returns the header and the upper layer's
/// bytes (for a fragment, the bytes behind the fragment header) without the padding of short
/// frames.
///
/// # Errors
/// - [`Error::Truncated`]: fewer bytes than the payload length or an extension header gives.
/// - [`Error::Malformed`]: not version 6, too many extension headers, or a forbidden order.
/// - [`Error::Unsupported`]: an option or routing header that requires a receiver without support
///   for it to discard the packet.
#[inline]
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    let (mut header, rest) = fixed(packet)?;
    let mut payload = rest.get(..usize::from(header.payload_len)).ok_or(Error::Truncated)?;
    if !matches!(header.protocol, Protocol::TCP | Protocol::ICMPV6) {
        let upper = walk(header.protocol, payload)?;
        payload = upper.apply(&mut header);
    }
    Ok((header, payload))
}

/// Like [`parse`], for a packet quoted by an ICMP error, whose end may be missing.
pub(super) fn parse_quoted(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    let (mut header, rest) = fixed(packet)?;
    let payload = rest.get(..usize::from(header.payload_len)).unwrap_or(rest);
    let upper = walk(header.protocol, payload)?;
    let payload = upper.apply(&mut header);
    Ok((header, payload))
}

/// Returns the fixed header of a packet that [`parse`] rejected as [`Error::Unsupported`] and the
/// problem to report to its source.
pub fn problem(packet: &[u8]) -> Option<(Header, Problem)> {
    let (header, rest) = fixed(packet).ok()?;
    let payload = rest.get(..usize::from(header.payload_len))?;
    let problem = walk(header.protocol, payload).err()?.problem?;
    Some((header, problem))
}

#[inline(always)]
fn fixed(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    let (fixed, rest) = packet.split_first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
    let (fields, addresses) = fixed.split_first_chunk::<8>().ok_or(Error::Truncated)?;
    let (src, dst) = addresses.split_first_chunk::<16>().ok_or(Error::Truncated)?;
    let dst = dst.first_chunk::<16>().ok_or(Error::Truncated)?;
    let &[f0, f1, f2, f3, l0, l1, protocol, hop_limit] = fields;
    let first = u32::from_be_bytes([f0, f1, f2, f3]);
    if first >> 28 != 6 {
        return Err(Error::Malformed);
    }
    let header = Header {
        src: Ipv6Addr::from(*src),
        dst: Ipv6Addr::from(*dst),
        flow_label: first & FLOW_LABEL_MASK,
        payload_len: u16::from_be_bytes([l0, l1]),
        extensions_len: 0,
        protocol: Protocol(protocol),
        hop_limit,
        traffic_class: TrafficClass((first >> 20) as u8),
        fragment: None,
        has_fragment_header: false,
    };
    Ok((header, rest))
}

/// Length of a fragment header in bytes.
pub const FRAGMENT_HEADER_LEN: usize = 8;

/// Rewrites the headers of a first fragment (fixed header and extension headers, without the
/// fragment header) into those of the reassembled packet, whose payload has `payload_len` bytes
/// (RFC 8200 §4.5). `announced_at` is the field of [`Fragment`]; `protocol` is the next header of
/// the fragment header.
///
/// # Errors
/// [`NoRoom`] when the packet exceeds the maximum size or `headers` is shorter than a header.
pub fn make_whole(
    headers: &mut [u8],
    announced_at: usize,
    protocol: Protocol,
    ecn: u8,
    payload_len: usize,
) -> Result<(), NoRoom> {
    let extensions_len = headers.len().checked_sub(HEADER_LEN).ok_or(NoRoom)?;
    let [l0, l1] = u16::try_from(extensions_len + payload_len).map_err(|_| NoRoom)?.to_be_bytes();
    *headers.get_mut(announced_at).ok_or(NoRoom)? = protocol.0;
    headers[4..6].copy_from_slice(&[l0, l1]);
    headers[1] = headers[1] & !(0b11 << 4) | (ecn & 0b11) << 4;
    Ok(())
}

/// Returns true if `payload` contains the whole chain of extension headers that begins with
/// `first`, and the upper-layer header. RFC 8200 §4.5 requires this of a first fragment (RFC 7112
/// §5).
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

/// The end of a chain of extension headers.
struct Upper<'a> {
    protocol: Protocol,
    fragment: Option<Fragment>,
    has_fragment_header: bool,
    extensions_len: u16,
    payload: &'a [u8],
}

impl<'a> Upper<'a> {
    fn apply(self, header: &mut Header) -> &'a [u8] {
        header.protocol = self.protocol;
        header.fragment = self.fragment;
        header.has_fragment_header = self.has_fragment_header;
        header.extensions_len = self.extensions_len;
        self.payload
    }
}

/// Follows the chain to the first header that is not an extension header, or to a fragment.
#[inline(never)]
fn walk(first: Protocol, payload: &[u8]) -> Result<Upper<'_>, Fault> {
    let (mut protocol, mut rest) = (first, payload);
    let (mut announced_at, mut has_fragment_header) = (NEXT_HEADER_AT, false);
    for position in 0..=EXTENSIONS_MAX {
        let at = HEADER_LEN + payload.len() - rest.len();
        let (next, part, after) = match protocol {
            // RFC 8200 §4.1: hop-by-hop options directly follow the fixed header.
            Protocol::HOP_BY_HOP if position > 0 => return Err(Error::Malformed.into()),
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS => options(rest, at)?,
            Protocol::ROUTING => routing(rest, at)?,
            Protocol::FRAGMENT => fragment(rest, announced_at)?,
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
        announced_at = at as u16;
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
        0b10 => Some(Problem { code: 2, pointer, of_groups_too: true }),
        0b11 => Some(Problem { code: 2, pointer, of_groups_too: false }),
        _ => None,
    };
    Fault { error: Error::Unsupported, problem }
}

/// RFC 8200 §4.4:
/// > If Segments Left is zero, the node must ignore the Routing header and proceed to process the
/// > next header in the packet [...] If Segments Left is non-zero, the node must discard the packet
/// > and send an ICMP Parameter Problem, Code 0, message to the packet's Source Address, pointing
/// to
/// > the unrecognized Routing Type.
///
/// This also applies to type 0 (RFC 5095 §3).
fn routing(bytes: &[u8], at: usize) -> Result<Step<'_>, Fault> {
    let (next, own, rest) = extension(bytes)?;
    match own {
        [_, 0, ..] => Ok((next, None, rest)),
        _ => {
            let pointer = at as u32 + 2;
            let problem = Some(Problem { code: 0, pointer, of_groups_too: false });
            Err(Fault { error: Error::Unsupported, problem })
        }
    }
}

fn fragment(bytes: &[u8], announced_at: u16) -> Result<Step<'_>, Error> {
    let (own, rest) = bytes.split_first_chunk::<FRAGMENT_HEADER_LEN>().ok_or(Error::Truncated)?;
    let &[next, _, o0, o1, i0, i1, i2, i3] = own;
    let field = u16::from_be_bytes([o0, o1]);
    let fragment = Fragment {
        ident: u32::from_be_bytes([i0, i1, i2, i3]),
        offset_bytes: field & !0b111,
        more: field & 1 == 1,
        announced_at,
    };
    // RFC 8200 §4.5, RFC 6946 §4: an atomic fragment is processed as a packet that needs no
    // reassembly.
    let whole = fragment.offset_bytes == 0 && !fragment.more;
    Ok((Protocol(next), Some(fragment).filter(|_| !whole), rest))
}
