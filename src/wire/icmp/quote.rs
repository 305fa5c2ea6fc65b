//! The packet that an ICMP error quotes: enough of it to find the flow (RFC 5927 §4).

use crate::wire::error::Error;
use crate::wire::protocol::Protocol;
use crate::wire::{ipv4, ipv6};
use core::net::IpAddr;

/// The known fields of a quoted packet. An error addressed to this host quotes a packet that this
/// host sent, so `src` is local.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Upper-layer protocol.
    pub protocol: Protocol,
    /// Source port, if the upper layer has ports.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// The four bytes behind the ports: TCP's sequence number.
    pub seq: u32,
    /// Length of the packet according to its headers, in bytes.
    pub length: u32,
}

/// Parses a quoted IPv4 packet: its header and at least eight more bytes (RFC 792). Does not check
/// the header checksum: routers change the header on the way, and some quote the changed form.
pub(super) fn parse_v4(quoted: &[u8]) -> Result<Quote, Error> {
    let fixed = quoted.first_chunk::<{ ipv4::HEADER_LEN }>().ok_or(Error::Truncated)?;
    let header_len = usize::from(fixed[0] & 0xf) * 4;
    if fixed[0] >> 4 != 4 || header_len < ipv4::HEADER_LEN {
        return Err(Error::Malformed);
    }
    let address = |at: usize| core::array::from_fn::<u8, 4, _>(|i| fixed[at + i]);
    let fragment = ipv4::Fragment(u16::from_be_bytes([fixed[6], fixed[7]]));
    if fragment.offset_bytes() != 0 {
        return Err(Error::Unsupported);
    }
    let upper = quoted.get(header_len..).ok_or(Error::Truncated)?;
    let length = u32::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    upper_layer((address(12).into(), address(16).into()), Protocol(fixed[9]), upper, length)
}

/// Parses a quoted IPv6 packet, skipping extension headers.
pub(super) fn parse_v6(quoted: &[u8]) -> Result<Quote, Error> {
    let (header, upper) = ipv6::parse_quoted(quoted)?;
    if header.fragment.is_some_and(|fragment| fragment.offset_bytes != 0) {
        return Err(Error::Unsupported);
    }
    let length = ipv6::HEADER_LEN as u32 + u32::from(header.payload_len);
    upper_layer((header.src.into(), header.dst.into()), header.protocol, upper, length)
}

fn upper_layer(
    (src, dst): (IpAddr, IpAddr),
    protocol: Protocol,
    upper: &[u8],
    length: u32,
) -> Result<Quote, Error> {
    let &[s0, s1, d0, d1, q0, q1, q2, q3] = upper.first_chunk::<8>().ok_or(Error::Truncated)?;
    Ok(Quote {
        src,
        dst,
        protocol,
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        length,
    })
}

/// Returns the part of a packet that an IPv4 error quotes.
///
/// RFC 1812 §4.3.2.3: > as much of the original datagram as possible without the length of the ICMP
/// datagram exceeding 576 bytes.
pub fn quotable_v4(packet: &[u8]) -> &[u8] {
    &packet[..packet.len().min(576 - ipv4::HEADER_LEN - super::HEADER_LEN)]
}

/// Returns the part of a packet that an IPv6 error quotes, such that the error fits into the
/// minimum MTU (RFC 4443 §2.4 (c)).
pub fn quotable_v6(packet: &[u8]) -> &[u8] {
    &packet[..packet.len().min(ipv6::MTU_MIN - ipv6::HEADER_LEN - super::HEADER_LEN)]
}
