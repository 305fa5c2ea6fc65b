//! Parsing of packets: the fixed header, then the extension headers.

use super::extensions::{Problem, Upper, walk};
use super::header::{FLOW_LABEL_MASK, HEADER_LEN, Header};
use crate::wire::error::Error;
use crate::wire::protocol::{Protocol, TrafficClass};
use core::net::Ipv6Addr;

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
        payload = apply(upper, &mut header);
    }
    Ok((header, payload))
}

/// Like [`parse`], for a packet quoted by an ICMP error, whose end may be missing.
pub(in crate::wire) fn parse_quoted(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    let (mut header, rest) = fixed(packet)?;
    let payload = rest.get(..usize::from(header.payload_len)).unwrap_or(rest);
    let upper = walk(header.protocol, payload)?;
    let payload = apply(upper, &mut header);
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

/// Copies the findings of the walk into the header and returns the payload.
#[inline]
fn apply<'a>(upper: Upper<'a>, header: &mut Header) -> &'a [u8] {
    header.protocol = upper.protocol;
    header.fragment = upper.fragment;
    header.has_fragment_header = upper.has_fragment_header;
    header.extensions_len = upper.extensions_len;
    upper.payload
}
