//! Ethernet II headers and the VLAN tags behind them.

use super::error::{Error, NoRoom};
use super::protocol::EtherType;
use super::vlan::{self, Tags};
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Length of a header without tags, in bytes.
pub const HEADER_LEN: usize = 14;

/// A link-layer address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// The broadcast address.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// The zero address: the unknown target of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// Returns true for a multicast address, including broadcast: the lowest bit of the first byte
    /// is set (IEEE 802).
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Returns true for the address of one host.
    #[inline]
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// Returns true for the broadcast address.
    #[inline]
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Returns the MAC address that carries an IPv4 multicast group (RFC 1112 §6.4).
    pub const fn of_multicast_v4(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// Returns the MAC address that carries an IPv6 multicast group (RFC 2464 §7).
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

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Destination.
    pub dst: MacAddr,
    /// Source.
    pub src: MacAddr,
    /// EtherType of the payload behind the tags.
    pub ethertype: EtherType,
    /// VLAN tags.
    pub vlan: Tags,
}

impl Header {
    /// Returns the length of the header with its tags, in bytes.
    #[inline]
    pub const fn byte_len(&self) -> usize {
        HEADER_LEN + self.vlan.byte_len()
    }

    /// Writes the header to the start of `bytes` and returns its length.
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

/// Parses the header. Returns it and the bytes behind it, including the padding of short frames.
///
/// # Errors
/// [`Error::Truncated`] when the bytes end within the header or a tag.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::vlan::Tag;
    use proptest::prelude::*;

    fn tag() -> impl Strategy<Value = Tag> {
        (any::<bool>(), any::<u16>()).prop_map(|(service, control)| Tag {
            ethertype: if service { EtherType::SERVICE_VLAN } else { EtherType::VLAN },
            control,
        })
    }

    fn header() -> impl Strategy<Value = Header> {
        let tags = prop_oneof![
            Just(Tags::NONE),
            tag().prop_map(|outer| Tags { outer: Some(outer), inner: None }),
            (tag(), tag()).prop_map(|(o, i)| Tags { outer: Some(o), inner: Some(i) }),
        ];
        let plain = any::<u16>().prop_map(EtherType).prop_filter("no tag", |e| !vlan::is_tag(*e));
        (any::<[u8; 6]>(), any::<[u8; 6]>(), plain, tags).prop_map(|(dst, src, ethertype, vlan)| {
            Header { dst: MacAddr(dst), src: MacAddr(src), ethertype, vlan }
        })
    }

    proptest! {
        #[test]
        fn emitted_bytes_parse_back(header in header(), payload: [u8; 5]) {
            let mut bytes = [0; 22 + 5];
            let len = header.emit(&mut bytes).expect("22 bytes hold two tags");
            bytes[len..len + 5].copy_from_slice(&payload);
            prop_assert_eq!(parse(&bytes[..len + 5]), Ok((header, &payload[..])));
            for cut in 0..len {
                prop_assert_eq!(parse(&bytes[..cut]), Err(Error::Truncated));
                prop_assert_eq!(header.emit(&mut bytes[..cut].to_vec()), Err(NoRoom));
            }
        }
    }

    #[test]
    fn a_third_tag_is_payload() {
        let mut frame = [0u8; 14 + 12];
        for at in [12, 16, 20] {
            frame[at..at + 2].copy_from_slice(&[0x81, 0x00]);
        }
        let (header, rest) = parse(&frame).expect("long enough");
        assert_eq!((header.ethertype, rest.len()), (EtherType::VLAN, 4));
    }

    #[test]
    fn a_tag_is_split_into_id_and_priority() {
        let tag = Tag { ethertype: EtherType::VLAN, control: 0b1011_0000_0000_0111 };
        assert_eq!((tag.id(), tag.priority()), (7, 5));
    }

    #[test]
    fn groups_have_the_link_layer_addresses_of_their_rfcs() {
        let group = MacAddr::of_multicast_v4(Ipv4Addr::new(224, 129, 2, 3));
        assert_eq!(group.to_string(), "01:00:5e:01:02:03");
        let group = MacAddr::of_multicast_v6("ff02::1:ff12:3456".parse().expect("a literal"));
        assert_eq!(group.to_string(), "33:33:ff:12:34:56");
        assert!(group.is_multicast() && MacAddr::BROADCAST.is_multicast());
        assert!(!MacAddr::ZERO.is_unicast() && MacAddr([2, 0, 0, 0, 0, 1]).is_unicast());
    }
}
