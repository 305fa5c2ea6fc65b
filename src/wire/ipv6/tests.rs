//! IPv6 (RFC 8200, RFC 5095): emitted headers parse back; tables of extension header chains.

use super::header::FLOW_LABEL_MASK;
use super::*;
use crate::wire::error::Error;
use crate::wire::protocol::{Protocol, TrafficClass};
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

/// A packet with the given extension headers, the first of type `first`.
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
    fn emitted_bytes_parse_back(out in header(), payload in prop::collection::vec(any::<u8>(), 0..64)) {
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
fn extension_headers_are_skipped() {
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
fn hop_by_hop_options_come_first() {
    let first = padded(Protocol::HOP_BY_HOP);
    let second = padded(TCP);
    let chain: &[&[u8]] = &[&first, &second];
    assert_eq!(outcome(Protocol::DESTINATION_OPTIONS, chain), Err(Error::Malformed));
}

#[test]
fn a_chain_of_extension_headers_has_a_limit() {
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
fn an_unknown_option_is_skipped_only_if_its_type_allows() {
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
fn a_source_route_with_segments_left_is_rejected() {
    for kind in [0, 2, 4] {
        let routing = [TCP.0, 0, kind, 1, 0, 0, 0, 0];
        assert_eq!(outcome(Protocol::ROUTING, &[&routing]), Err(Error::Unsupported));
    }
}

/// RFC 8200 §4.2, §4.4: the pointer is the offset of the option type or routing type from the start
/// of the packet.
#[test]
fn a_problem_points_to_the_unrecognized_byte() {
    let reported = |first, extensions: &[&[u8]]| {
        problem(&packet(first, extensions)).map(|(_, p)| (p.code, p.pointer, p.even_if_multicast))
    };
    let padding = padded(Protocol::DESTINATION_OPTIONS);
    for (kind, expected) in
        [(0x45, None), (0x85, Some((2, 50, true))), (0xc5, Some((2, 50, false)))]
    {
        let options = [TCP.0, 0, kind, 4, 0, 0, 0, 0];
        assert_eq!(reported(Protocol::HOP_BY_HOP, &[&padding, &options]), expected, "{kind:#x}");
    }
    let routing = [TCP.0, 0, 4, 1, 0, 0, 0, 0];
    assert_eq!(reported(Protocol::ROUTING, &[&routing]), Some((0, 42, false)));
    assert_eq!(reported(Protocol::ROUTING, &[&[TCP.0, 0, 4, 0, 0, 0, 0, 0]]), None);
    assert_eq!(reported(TCP, &[]), None);
}

#[test]
fn a_fragment_is_reported_and_its_payload_is_not_parsed() {
    let destination = padded(TCP);
    let fragment = [Protocol::DESTINATION_OPTIONS.0, 0, 0x05, 0xa9, 0, 0, 0, 9];
    let bytes = packet(Protocol::FRAGMENT, &[&fragment, &destination]);
    let (header, payload) = parse(&bytes).expect("well formed");
    let expected = Fragment { ident: 9, offset_bytes: 0x5a8, more: true, next_header_at: 6 };
    assert_eq!(header.fragment, Some(expected));
    assert_eq!((header.protocol, payload.len()), (Protocol::DESTINATION_OPTIONS, 16));
}

/// RFC 8200 §4.5, RFC 6946 §4.
#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let fragment = [TCP.0, 0, 0, 0, 0, 0, 0, 9];
    assert_eq!(outcome(Protocol::FRAGMENT, &[&fragment]), Ok((TCP, 8)));
}

#[test]
fn another_version_is_malformed() {
    let mut bytes = packet(TCP, &[]);
    bytes[0] = 0x45;
    assert_eq!(parse(&bytes), Err(Error::Malformed));
}
