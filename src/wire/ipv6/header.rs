//! The fixed header.

use super::fragment::Fragment;
use crate::wire::error::NoRoom;
use crate::wire::protocol::{Protocol, TrafficClass};
use core::net::Ipv6Addr;

/// Length of the fixed header in bytes.
pub const HEADER_LEN: usize = 40;

/// Minimum MTU of a link that carries IPv6 (RFC 8200 §5), in bytes.
pub const MTU_MIN: usize = 1280;

/// Largest flow label.
pub(super) const FLOW_LABEL_MASK: u32 = 0x000f_ffff;

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

/// Rewrites the headers of a first fragment (fixed header and extension headers, without the
/// fragment header) into those of the reassembled packet, whose payload has `payload_len` bytes
/// (RFC 8200 §4.5). `next_header_at` is the field of [`Fragment`]; `protocol` is the next header of
/// the fragment header.
///
/// # Errors
/// [`NoRoom`] when the packet exceeds the maximum size or `headers` is shorter than a header.
pub fn rewrite_reassembled(
    headers: &mut [u8],
    next_header_at: usize,
    protocol: Protocol,
    ecn: u8,
    payload_len: usize,
) -> Result<(), NoRoom> {
    let extensions_len = headers.len().checked_sub(HEADER_LEN).ok_or(NoRoom)?;
    let [l0, l1] = u16::try_from(extensions_len + payload_len).map_err(|_| NoRoom)?.to_be_bytes();
    *headers.get_mut(next_header_at).ok_or(NoRoom)? = protocol.0;
    headers[4..6].copy_from_slice(&[l0, l1]);
    headers[1] = headers[1] & !(0b11 << 4) | (ecn & 0b11) << 4;
    Ok(())
}
