//! IPv6 headers (RFC 8200), and the walk over extension headers to what they carry.
//!
//! A fragment is reported, not put together.

use super::error::{Error, NoRoom};
use super::protocol::{Protocol, TrafficClass};
use core::net::Ipv6Addr;

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// The smallest MTU of a link that carries IPv6 (RFC 8200 §5), bytes.
pub const MTU_MIN: usize = 1280;

/// Extension headers looked at in one packet. Real ones have one or two; more would let a sender buy
/// much work for one packet (RFC 8504 §5.3 allows a limit).
pub const EXTENSIONS_MAX: usize = 8;

/// Largest flow label.
const FLOW_LABEL_MASK: u32 = 0x000f_ffff;

/// A part of a packet (RFC 8200 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Identifies the parts of one packet.
    pub ident: u32,
    /// Where the part belongs, in bytes.
    pub offset_bytes: u16,
    /// Whether more parts follow.
    pub more: bool,
}

/// A header that arrived, and what the extension headers behind it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// From whom.
    pub src: Ipv6Addr,
    /// To whom.
    pub dst: Ipv6Addr,
    /// Twenty bits.
    pub flow_label: u32,
    /// Bytes behind the fixed header, extension headers included.
    pub payload_len: u16,
    /// Bytes of extension headers.
    pub extensions_len: u16,
    /// The upper layer. Of a fragment: what the fragment header announces.
    pub protocol: Protocol,
    /// Hops left.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Present when the packet is a part of one. A packet whose only part is itself (RFC 6946) is whole.
    pub fragment: Option<Fragment>,
}

/// A header to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderOut {
    /// From whom.
    pub src: Ipv6Addr,
    /// To whom.
    pub dst: Ipv6Addr,
    /// What follows.
    pub protocol: Protocol,
    /// Hops allowed.
    pub hop_limit: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
    /// Twenty bits, the same for all packets of a flow (RFC 6437).
    pub flow_label: u32,
}

impl HeaderOut {
    /// Writes a header for `payload_len` bytes to the start of `bytes`; gives its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the header or the payload longer than 65,535.
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

/// Reads the header and walks the extension headers; gives the upper layer's bytes (of a fragment: the
/// bytes behind the fragment header) without the padding of short frames.
///
/// # Errors
/// - [`Error::Truncated`]: fewer bytes than the payload length or an extension header says.
/// - [`Error::Malformed`]: not version 6, too many extension headers, or in a forbidden order.
/// - [`Error::Unsupported`]: an option or routing header whose sender wants the packet discarded
///   by those who don't act upon it.
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

/// As [`parse`], of a packet that an ICMP error quotes: its end may be missing.
pub(super) fn parse_quoted(packet: &[u8]) -> Result<(Header, &[u8]), Error> {
    let (mut header, rest) = fixed(packet)?;
    let payload = rest.get(..usize::from(header.payload_len)).unwrap_or(rest);
    let upper = walk(header.protocol, payload)?;
    let payload = upper.apply(&mut header);
    Ok((header, payload))
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
        src: Ipv6Addr::from_octets(*src),
        dst: Ipv6Addr::from_octets(*dst),
        flow_label: first & FLOW_LABEL_MASK,
        payload_len: u16::from_be_bytes([l0, l1]),
        extensions_len: 0,
        protocol: Protocol(protocol),
        hop_limit,
        traffic_class: TrafficClass((first >> 20) as u8),
        fragment: None,
    };
    Ok((header, rest))
}

/// Where a chain of extension headers ends.
struct Upper<'a> {
    protocol: Protocol,
    fragment: Option<Fragment>,
    extensions_len: u16,
    payload: &'a [u8],
}

impl<'a> Upper<'a> {
    fn apply(self, header: &mut Header) -> &'a [u8] {
        header.protocol = self.protocol;
        header.fragment = self.fragment;
        header.extensions_len = self.extensions_len;
        self.payload
    }
}

/// Follows the chain until it meets what is no extension header, or a fragment.
#[inline(never)]
fn walk(first: Protocol, payload: &[u8]) -> Result<Upper<'_>, Error> {
    let (mut protocol, mut rest) = (first, payload);
    for position in 0..=EXTENSIONS_MAX {
        let (next, part, after) = match protocol {
            // RFC 8200 §4.1: hop-by-hop options stand right behind the fixed header, or nowhere.
            Protocol::HOP_BY_HOP if position > 0 => return Err(Error::Malformed),
            Protocol::HOP_BY_HOP | Protocol::DESTINATION_OPTIONS => options(rest)?,
            Protocol::ROUTING => routing(rest)?,
            Protocol::FRAGMENT => fragment(rest)?,
            _ => return Ok(upper(protocol, None, payload, rest)),
        };
        if part.is_some() {
            return Ok(upper(next, part, payload, after));
        }
        (protocol, rest) = (next, after);
    }
    Err(Error::Malformed)
}

fn upper<'a>(
    protocol: Protocol,
    fragment: Option<Fragment>,
    payload: &[u8],
    rest: &'a [u8],
) -> Upper<'a> {
    Upper { protocol, fragment, extensions_len: (payload.len() - rest.len()) as u16, payload: rest }
}

/// What an extension header says comes next, the part of a packet that it says this is, and the rest.
type Step<'a> = (Protocol, Option<Fragment>, &'a [u8]);

/// An extension header of the common form: what comes next, its own bytes behind the two first, the rest.
fn extension(bytes: &[u8]) -> Result<(Protocol, &[u8], &[u8]), Error> {
    let &[next, units, ..] = bytes else { return Err(Error::Truncated) };
    let len = (usize::from(units) + 1) * 8;
    let (own, rest) = bytes.split_at_checked(len).ok_or(Error::Truncated)?;
    Ok((Protocol(next), &own[2..], rest))
}

/// Hop-by-hop or destination options: none is acted upon, some forbid to go on.
fn options(bytes: &[u8]) -> Result<Step<'_>, Error> {
    let (next, mut area, rest) = extension(bytes)?;
    while let [kind, after @ ..] = area {
        area = after;
        if *kind == 0 {
            continue;
        }
        let [len, after @ ..] = area else { return Err(Error::Malformed) };
        area = after.get(usize::from(*len)..).ok_or(Error::Malformed)?;
        // RFC 8200 §4.2: the two highest bits tell those who do not know an option what to do; 00 is to
        // skip it, all others to discard the packet.
        if kind >> 6 != 0 {
            return Err(Error::Unsupported);
        }
    }
    Ok((next, None, rest))
}

/// RFC 8200 §4.4:
/// > If Segments Left is zero, the node must ignore the Routing header and proceed to process the next
/// > header in the packet [...] If Segments Left is non-zero, the node must discard the packet
///
/// which goes for type 0 too (RFC 5095 §3).
fn routing(bytes: &[u8]) -> Result<Step<'_>, Error> {
    let (next, own, rest) = extension(bytes)?;
    match own {
        [_, 0, ..] => Ok((next, None, rest)),
        _ => Err(Error::Unsupported),
    }
}

fn fragment(bytes: &[u8]) -> Result<Step<'_>, Error> {
    let (own, rest) = bytes.split_first_chunk::<8>().ok_or(Error::Truncated)?;
    let &[next, _, o0, o1, i0, i1, i2, i3] = own;
    let field = u16::from_be_bytes([o0, o1]);
    let fragment = Fragment {
        ident: u32::from_be_bytes([i0, i1, i2, i3]),
        offset_bytes: field & !0b111,
        more: field & 1 == 1,
    };
    // RFC 8200 §4.5: a part that is the whole is processed as a packet that needs no reassembly.
    let whole = fragment.offset_bytes == 0 && !fragment.more;
    Ok((Protocol(next), Some(fragment).filter(|_| !whole), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> impl Strategy<Value = HeaderOut> {
        let upper = prop_oneof![
            Just(Protocol::TCP),
            Just(Protocol::ICMPV6),
            Just(Protocol::UDP),
            Just(Protocol(200))
        ];
        (any::<([u8; 16], [u8; 16], u8, u8)>(), upper, 0..=FLOW_LABEL_MASK).prop_map(
            |((src, dst, hop_limit, class), protocol, flow_label)| HeaderOut {
                src: src.into(),
                dst: dst.into(),
                protocol,
                hop_limit,
                traffic_class: TrafficClass(class),
                flow_label,
            },
        )
    }

    /// A packet with the extension headers given, the first of them of type `first`.
    fn packet(first: Protocol, extensions: &[&[u8]]) -> Vec<u8> {
        let body = [&extensions.concat()[..], b"payload!"].concat();
        let header = HeaderOut {
            src: "2001:db8::1".parse().expect("a literal"),
            dst: "2001:db8::2".parse().expect("a literal"),
            protocol: first,
            hop_limit: 64,
            traffic_class: TrafficClass(0),
            flow_label: 0,
        };
        let mut bytes = vec![0; HEADER_LEN];
        assert_eq!(header.emit(body.len(), &mut bytes), Ok(HEADER_LEN));
        bytes.extend(body);
        bytes
    }

    fn outcome(first: Protocol, extensions: &[&[u8]]) -> Result<(Protocol, u16), Error> {
        let bytes = packet(first, extensions);
        let (header, payload) = parse(&bytes)?;
        assert_eq!(payload, b"payload!");
        Ok((header.protocol, header.extensions_len))
    }

    const TCP: Protocol = Protocol::TCP;
    const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];

    fn padded(next: Protocol) -> Vec<u8> {
        [&[next.0, 0][..], &PADDING].concat()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(out in header(), payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = vec![0; HEADER_LEN];
            prop_assert_eq!(out.emit(payload.len(), &mut bytes), Ok(HEADER_LEN));
            bytes.extend(&payload);
            let whole = bytes.len();
            bytes.extend([0; 6]);
            let (header, rest) = parse(&bytes).expect("just written");
            let read = HeaderOut {
                src: header.src,
                dst: header.dst,
                protocol: header.protocol,
                hop_limit: header.hop_limit,
                traffic_class: header.traffic_class,
                flow_label: header.flow_label,
            };
            prop_assert_eq!((read, rest, header.fragment), (out, &payload[..], None));
            for cut in 0..whole {
                prop_assert_eq!(parse(&bytes[..cut]), Err(Error::Truncated));
            }
        }

        #[test]
        fn any_bytes_are_a_packet_or_an_error(
            first in prop::sample::select(vec![0u8, 6, 43, 44, 60]),
            body in prop::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(60), Just(43)], 0..80),
        ) {
            let bytes = packet(Protocol(first), &[&body]);
            let _ = parse(&bytes);
            let _ = parse_quoted(&bytes[..bytes.len() - 8]);
            let _ = parse(&body);
        }
    }

    #[test]
    fn extension_headers_are_walked_over() {
        let hop = padded(Protocol::ROUTING);
        let routing = [Protocol::DESTINATION_OPTIONS.0, 0, 0, 0, 0, 0, 0, 0];
        let destination = padded(TCP);
        let chain: &[&[u8]] = &[&hop, &routing, &destination];
        assert_eq!(outcome(Protocol::HOP_BY_HOP, chain), Ok((TCP, 24)));
        let bytes = packet(Protocol::HOP_BY_HOP, chain);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Err(Error::Truncated), "{cut}");
        }
    }

    #[test]
    fn an_extension_header_that_ends_behind_the_packet_is_truncated() {
        assert_eq!(outcome(Protocol::ROUTING, &[&[6, 9, 0, 0, 0, 0, 0, 0]]), Err(Error::Truncated));
    }

    #[test]
    fn hop_by_hop_options_stand_first_or_nowhere() {
        let first = padded(Protocol::HOP_BY_HOP);
        let second = padded(TCP);
        let chain: &[&[u8]] = &[&first, &second];
        assert_eq!(outcome(Protocol::DESTINATION_OPTIONS, chain), Err(Error::Malformed));
    }

    #[test]
    fn a_chain_is_followed_only_so_far() {
        let one = padded(Protocol::DESTINATION_OPTIONS);
        let last = padded(TCP);
        let mut chain: Vec<&[u8]> = vec![&one; EXTENSIONS_MAX - 1];
        chain.push(&last);
        assert_eq!(
            outcome(Protocol::DESTINATION_OPTIONS, &chain),
            Ok((TCP, 8 * EXTENSIONS_MAX as u16))
        );
        chain.insert(0, &one);
        assert_eq!(outcome(Protocol::DESTINATION_OPTIONS, &chain), Err(Error::Malformed));
    }

    #[test]
    fn an_unknown_option_is_skipped_only_when_it_allows_it() {
        for (kind, expected) in [
            (0x05, Ok((TCP, 8))),
            (0x1e, Ok((TCP, 8))),
            (0x45, Err(Error::Unsupported)),
            (0x85, Err(Error::Unsupported)),
            (0xc2, Err(Error::Unsupported)),
        ] {
            let options = [TCP.0, 0, kind, 4, 0, 0, 0, 0];
            assert_eq!(outcome(Protocol::HOP_BY_HOP, &[&options]), expected, "{kind:#x}");
        }
        for overrun in [[TCP.0, 0, 1, 5, 0, 0, 0, 0], [TCP.0, 0, 1, 3, 0, 0, 0, 1]] {
            assert_eq!(outcome(Protocol::HOP_BY_HOP, &[&overrun]), Err(Error::Malformed));
        }
    }

    #[test]
    fn a_source_route_that_is_not_at_its_end_is_not_followed() {
        for kind in [0, 2, 4] {
            let routing = [TCP.0, 0, kind, 1, 0, 0, 0, 0];
            assert_eq!(outcome(Protocol::ROUTING, &[&routing]), Err(Error::Unsupported));
        }
    }

    #[test]
    fn a_fragment_is_reported_and_what_it_carries_is_not_looked_into() {
        let destination = padded(TCP);
        let fragment = [Protocol::DESTINATION_OPTIONS.0, 0, 0x05, 0xa9, 0, 0, 0, 9];
        let bytes = packet(Protocol::FRAGMENT, &[&fragment, &destination]);
        let (header, payload) = parse(&bytes).expect("well formed");
        assert_eq!(header.fragment, Some(Fragment { ident: 9, offset_bytes: 0x5a8, more: true }));
        assert_eq!((header.protocol, payload.len()), (Protocol::DESTINATION_OPTIONS, 16));
    }

    #[test]
    fn a_part_that_is_the_whole_is_no_fragment() {
        let fragment = [TCP.0, 0, 0, 0, 0, 0, 0, 9];
        assert_eq!(outcome(Protocol::FRAGMENT, &[&fragment]), Ok((TCP, 8)));
    }

    #[test]
    fn another_version_is_malformed() {
        let mut bytes = packet(TCP, &[]);
        bytes[0] = 0x45;
        assert_eq!(parse(&bytes), Err(Error::Malformed));
    }
}
