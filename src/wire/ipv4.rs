//! IPv4 headers (RFC 791).
//!
//! Skips options. Reports fragments without reassembling them ([`rewrite_reassembled`] rewrites the
//! header of a reassembled packet).

use super::checksum::{self, Sum};
use super::error::{Error, NoRoom};
use super::protocol::{Protocol, TrafficClass};
use core::net::Ipv4Addr;

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

/// Flags and fragment offset in wire format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fragment(pub u16);

impl Fragment {
    /// A whole packet that routers must not fragment.
    pub const DONT: Self = Self(DONT_FRAGMENT);

    /// Returns true for a fragment: more fragments follow, or the offset is not zero.
    #[inline]
    #[must_use]
    pub const fn is_fragment(self) -> bool {
        self.0 & (MORE_FRAGMENTS | OFFSET_MASK) != 0
    }

    /// Returns the offset of the fragment in bytes.
    #[inline]
    pub const fn offset_bytes(self) -> u32 {
        (self.0 & OFFSET_MASK) as u32 * 8
    }

    /// Returns true if more fragments follow.
    #[inline]
    pub const fn more(self) -> bool {
        self.0 & MORE_FRAGMENTS != 0
    }

    /// Returns true if routers must not fragment the packet.
    #[inline]
    pub const fn dont_fragment(self) -> bool {
        self.0 & DONT_FRAGMENT != 0
    }
}

/// A received header with verified lengths and checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Identification shared by the fragments of a packet.
    pub ident: u16,
    /// Flags and fragment offset.
    pub fragment: Fragment,
    /// Length of header and payload in bytes.
    pub total_len: u16,
    /// Upper-layer protocol.
    pub protocol: Protocol,
    /// Remaining hops.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Length of the header in bytes, options included: 20 to 60.
    pub header_len: u8,
}

/// A header to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderOut {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Upper-layer protocol.
    pub protocol: Protocol,
    /// Maximum number of hops.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Identification; may be zero if the packet must not be fragmented (RFC 6864 §4.1).
    pub ident: u16,
    /// [`Fragment::DONT`] for path MTU discovery (RFC 1191 §3).
    pub fragment: Fragment,
}

impl HeaderOut {
    /// Writes a header without options for `payload_len` bytes to the start of `bytes` and returns
    /// its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the header or the payload exceeds the maximum packet
    /// size.
    #[inline]
    pub fn emit(&self, payload_len: usize, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let header = bytes.first_chunk_mut::<HEADER_LEN>().ok_or(NoRoom)?;
        let total_len = u16::try_from(HEADER_LEN + payload_len).map_err(|_| NoRoom)?;
        let [l0, l1] = total_len.to_be_bytes();
        let [i0, i1] = self.ident.to_be_bytes();
        let [f0, f1] = self.fragment.0.to_be_bytes();
        let [s0, s1, s2, s3] = self.src.octets();
        let (ttl, protocol) = (self.ttl, self.protocol.0);
        let first = [0x45, self.traffic_class.0, l0, l1, i0, i1, f0, f1];
        let unsealed = [ttl, protocol, 0, 0, s0, s1, s2, s3];
        let sum = Sum::ZERO.plus_eight(first).plus_eight(unsealed).plus_four(self.dst.octets());
        let [c0, c1] = sum.checksum().to_be_bytes();
        header[..8].copy_from_slice(&first);
        header[8..16].copy_from_slice(&[ttl, protocol, c0, c1, s0, s1, s2, s3]);
        header[16..].copy_from_slice(&self.dst.octets());
        Ok(HEADER_LEN)
    }
}

/// Parses and verifies the header. Returns it and the payload without the padding of short frames.
///
/// # Errors
/// - [`Error::Truncated`]: fewer bytes than the header length or the total length.
/// - [`Error::Malformed`]: not version 4, or lengths that contradict each other.
/// - [`Error::Checksum`]: the header checksum is wrong.
#[inline]
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    let fixed = packet.first_chunk::<HEADER_LEN>().ok_or(Error::Truncated)?;
    // RFC 1122 §3.2.1.1:
    //   > A datagram whose version number is not 4 MUST be silently discarded.
    let header_len = if fixed[0] == 0x45 { HEADER_LEN } else { header_len_of(fixed[0])? };
    let total_len = u16::from_be_bytes([fixed[2], fixed[3]]);
    if usize::from(total_len) < header_len {
        return Err(Error::Malformed);
    }
    let packet = packet.get(..usize::from(total_len)).ok_or(Error::Truncated)?;
    let (header, payload) = packet.split_at_checked(header_len).ok_or(Error::Truncated)?;
    // RFC 1122 §3.2.1.2:
    //   > A host MUST verify the IP header checksum on every received datagram and silently
    //   > discard every datagram that has a bad checksum.
    let sum = if header_len == HEADER_LEN { checksum::sum(fixed) } else { checksum::sum(header) };
    if !sum.is_intact() {
        return Err(Error::Checksum);
    }
    Ok((fields(fixed, header_len as u8, total_len), payload))
}

#[cold]
fn header_len_of(first: u8) -> Result<usize, Error> {
    match (first >> 4, usize::from(first & 0xf) * 4) {
        (4, len @ HEADER_LEN..) => Ok(len),
        _ => Err(Error::Malformed),
    }
}

#[inline(always)]
fn fields(fixed: &[u8; HEADER_LEN], header_len: u8, total_len: u16) -> Header {
    Header {
        src: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
        dst: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        ident: u16::from_be_bytes([fixed[4], fixed[5]]),
        fragment: Fragment(u16::from_be_bytes([fixed[6], fixed[7]])),
        total_len,
        protocol: Protocol(fixed[9]),
        ttl: fixed[8],
        traffic_class: TrafficClass(fixed[1]),
        header_len,
    }
}

/// Rewrites the header of a first fragment, options included, into the header of the reassembled
/// packet, whose payload has `payload_len` bytes (RFC 791 §3.2).
///
/// # Errors
/// [`NoRoom`] when the packet exceeds the maximum size or `header` is shorter than a header.
pub fn rewrite_reassembled(header: &mut [u8], ecn: u8, payload_len: usize) -> Result<(), NoRoom> {
    let total_len = u16::try_from(header.len() + payload_len).map_err(|_| NoRoom)?;
    let fixed = header.first_chunk_mut::<HEADER_LEN>().ok_or(NoRoom)?;
    fixed[1] = fixed[1] & !0b11 | ecn & 0b11;
    fixed[2..4].copy_from_slice(&total_len.to_be_bytes());
    fixed[6..8].copy_from_slice(&[0, 0]);
    fixed[10..12].copy_from_slice(&[0, 0]);
    let sum = checksum::sum(header).checksum();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> impl Strategy<Value = HeaderOut> {
        any::<([u8; 4], [u8; 4], u8, u8, u8, u16, u16)>().prop_map(
            |(src, dst, protocol, ttl, class, ident, fragment)| HeaderOut {
                src: src.into(),
                dst: dst.into(),
                protocol: Protocol(protocol),
                ttl,
                traffic_class: TrafficClass(class),
                ident,
                fragment: Fragment(fragment),
            },
        )
    }

    fn as_sent(header: &Header) -> HeaderOut {
        HeaderOut {
            src: header.src,
            dst: header.dst,
            protocol: header.protocol,
            ttl: header.ttl,
            traffic_class: header.traffic_class,
            ident: header.ident,
            fragment: header.fragment,
        }
    }

    /// A packet from 10.0.0.1 to 10.0.0.2 with `options` words of options and four bytes of
    /// payload.
    fn packet(options: u8) -> Vec<u8> {
        let len = 24 + 4 * options;
        let mut bytes =
            vec![0x45 + options, 0, 0, len, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        bytes.extend(vec![1; usize::from(options) * 4]);
        let sum = checksum::sum(&bytes).checksum();
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(*b"data");
        bytes
    }

    proptest! {
        #[test]
        fn emitted_bytes_parse_back(header in header(), payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = vec![0; HEADER_LEN];
            prop_assert_eq!(header.emit(payload.len(), &mut bytes), Ok(HEADER_LEN));
            bytes.extend(&payload);
            let whole = bytes.len();
            bytes.extend([0; 6]);
            let (read, rest) = parse(&bytes).expect("just written");
            prop_assert_eq!((as_sent(&read), rest), (header, &payload[..]));
            for cut in 0..whole {
                prop_assert_eq!(parse(&bytes[..cut]), Err(Error::Truncated));
            }
        }

        #[test]
        fn any_bytes_are_a_packet_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = 0x40 | *first & 0xf;
            }
            let _ = parse(&bytes);
        }
    }

    // RFC 9293 §3.9.2, MUST-50: TCP ignores IP options that it does not understand, including
    // source routes.
    #[test]
    fn options_are_skipped() {
        for words in 0..=10 {
            let bytes = packet(words);
            let (header, payload) = parse(&bytes).expect("well formed");
            assert_eq!((header.header_len, payload), (20 + 4 * words, &b"data"[..]));
        }
    }

    #[test]
    fn a_header_with_any_flipped_bit_is_rejected() {
        for words in [0, 3] {
            let good = packet(words);
            for bit in 0..(good.len() - 4) * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(parse(&bad).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn lengths_that_contradict_each_other_are_malformed() {
        let mut short_header = packet(0);
        short_header[0] = 0x44;
        assert_eq!(parse(&short_header), Err(Error::Malformed));
        let mut short_total = packet(0);
        short_total[3] = 19;
        assert_eq!(parse(&short_total), Err(Error::Malformed));
        let mut version = packet(0);
        version[0] = 0x65;
        assert_eq!(parse(&version), Err(Error::Malformed));
    }

    #[test]
    fn fragments_are_distinguished_from_whole_packets() {
        assert!(!Fragment(0).is_fragment() && !Fragment::DONT.is_fragment());
        assert!(Fragment(0x2000).is_fragment() && Fragment(0x2000).more());
        assert!(Fragment(3).is_fragment() && Fragment(3).offset_bytes() == 24);
        assert!(Fragment::DONT.dont_fragment() && !Fragment(3).dont_fragment());
    }

    #[test]
    fn a_payload_beyond_the_length_field_does_not_fit() {
        let out = as_sent(&parse(&packet(0)).expect("well formed").0);
        let mut bytes = [0; HEADER_LEN];
        assert_eq!(out.emit(65_515, &mut bytes), Ok(HEADER_LEN));
        assert_eq!(out.emit(65_516, &mut bytes), Err(NoRoom));
        assert_eq!(out.emit(0, &mut bytes[..19]), Err(NoRoom));
    }
}
