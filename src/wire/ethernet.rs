//! Ethernet II headers, with the VLAN tags behind them.

use super::error::{Error, NoRoom};
use super::protocol::EtherType;
use super::vlan::{self, Tags};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a header without tags.
pub const HEADER_LEN: usize = 14;

/// A link-layer address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Everyone on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// Nobody: in an ARP request, the address that is asked for.
    pub const ZERO: Self = Self([0; 6]);

    /// A group address, broadcast included: the lowest bit of the first byte (IEEE 802).
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// One station's address.
    #[inline]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// The address of everyone.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// The group that carries an IPv4 multicast address (RFC 1112 §6.4).
    pub const fn of_multicast_v4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group that carries an IPv6 multicast address (RFC 2464 §7).
    pub const fn of_multicast_v6(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// To whom.
    pub dst: MacAddr,
    /// From whom.
    pub src: MacAddr,
    /// What follows the header and its tags.
    pub ethertype: EtherType,
    /// The tags.
    pub vlan: Tags,
}

impl Header {
    /// Bytes of the header with its tags.
    #[inline]
    pub const fn byte_len(&self) -> usize {
        HEADER_LEN + self.vlan.byte_len()
    }

    /// Writes the header to the start of `bytes`; gives its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the header.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let (addresses, mut rest) = bytes.split_first_chunk_mut::<12>().ok_or(NoRoom)?;
        addresses[..6].copy_from_slice(&self.dst.0);
        addresses[6..].copy_from_slice(&self.src.0);
        if let Some(outer) = self.vlan.outer {
            for tag in core::iter::once(outer).chain(self.vlan.inner) {
                let (written, after) = rest.split_first_chunk_mut::<4>().ok_or(NoRoom)?;
                written[..2].copy_from_slice(&tag.ethertype.0.to_be_bytes());
                written[2..].copy_from_slice(&tag.control.to_be_bytes());
                rest = after;
            }
        }
        *rest.first_chunk_mut::<2>().ok_or(NoRoom)? = self.ethertype.0.to_be_bytes();
        Ok(self.byte_len())
    }
}

/// Reads the header and gives what follows it, padding of short frames included.
///
/// # Errors
/// [`Error::Truncated`] when the header or a tag is cut short.
#[inline]
pub fn parse(frame: &[u8]) -> Result<(Header, &[u8]), Error> {
    let (header, rest) = frame.split_first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
    let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, e0, e1] = header;
    let (dst, src) = (MacAddr([d0, d1, d2, d3, d4, d5]), MacAddr([s0, s1, s2, s3, s4, s5]));
    let ethertype = EtherType(u16::from_be_bytes([e0, e1]));
    if vlan::is_tag(ethertype) {
        let (vlan, ethertype, rest) = vlan::parse(ethertype, rest).ok_or(Error::Truncated)?;
        return Ok((Header { dst, src, ethertype, vlan }, rest));
    }
    Ok((Header { dst, src, ethertype, vlan: Tags::NONE }, rest))
}
