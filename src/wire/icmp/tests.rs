//! ICMP (RFC 792, RFC 4443): emitted messages parse back, and quotes identify their flows.

use super::*;
use crate::wire::checksum::PseudoHeader;
use crate::wire::error::{Error, NoRoom};
use crate::wire::protocol::{Protocol, TrafficClass};
use crate::wire::{ipv4, ipv6};
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;

const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// Ports 80 and 40000, sequence number 7.
const UPPER: [u8; 8] = [0, 80, 0x9c, 0x40, 0, 0, 0, 7];

fn echo<'a>(ident: u16, sequence: u16, data: &'a [u8]) -> Echo<'a> {
    Echo { ident, sequence, data }
}

fn messages_v4<'a>(body: &'a [u8], n: u16, code: u8) -> Vec<v4::Message<'a>> {
    use v4::{Message, Unreachable};
    let mut messages = vec![
        Message::EchoRequest(echo(n, !n, body)),
        Message::EchoReply(echo(n, !n, body)),
        Message::TimeExceeded { code, quote: body },
        Message::ParameterProblem { code, pointer: n as u8, quote: body },
        Message::Other { kind: 13, code },
    ];
    let reasons = [
        Unreachable::Network,
        Unreachable::Host,
        Unreachable::Protocol,
        Unreachable::Port,
        Unreachable::TooBig { mtu: n },
        Unreachable::Other(code | 0x10),
    ];
    messages.extend(reasons.map(|reason| Message::Unreachable { reason, quote: body }));
    messages
}

fn messages_v6<'a>(body: &'a [u8], n: u32, code: u8) -> Vec<v6::Message<'a>> {
    use v6::{Message, Unreachable};
    let mut messages = vec![
        Message::EchoRequest(echo(n as u16, (n >> 16) as u16, body)),
        Message::EchoReply(echo(n as u16, (n >> 16) as u16, body)),
        Message::TooBig { mtu: n, quote: body },
        Message::TimeExceeded { code, quote: body },
        Message::ParameterProblem { code, pointer: n, quote: body },
        Message::Other { kind: 143, code },
    ];
    let reasons = [
        Unreachable::NoRoute,
        Unreachable::Prohibited,
        Unreachable::BeyondScope,
        Unreachable::Address,
        Unreachable::Port,
        Unreachable::Other(code | 0x10),
    ];
    messages.extend(reasons.map(|reason| Message::Unreachable { reason, quote: body }));
    messages
}

proptest! {
    #[test]
    fn emitted_bytes_parse_back(body in prop::collection::vec(any::<u8>(), 0..100), n: u32, code: u8) {
        let mut bytes = [0xaa; 108];
        for message in messages_v4(&body, n as u16, code) {
            let len = message.emit(&mut bytes).expect("room for all");
            prop_assert_eq!(v4::parse(&bytes[..len]), Ok(message));
            prop_assert_eq!(message.emit(&mut bytes[..len - 1]), Err(NoRoom));
        }
        let pseudo = PseudoHeader::v6(A6, B6);
        for message in messages_v6(&body, n, code) {
            let len = message.emit(pseudo, &mut bytes).expect("room for all");
            prop_assert_eq!(v6::parse(pseudo, &bytes[..len]), Ok(message));
            prop_assert_eq!(message.emit(pseudo, &mut bytes[..len - 1]), Err(NoRoom));
        }
    }

    #[test]
    fn a_cut_message_is_an_error(body in prop::collection::vec(1u8.., 0..60)) {
        let mut bytes = [0; 68];
        let len = v4::Message::EchoRequest(echo(1, 2, &body)).emit(&mut bytes).expect("room");
        for cut in 0..HEADER_LEN {
            prop_assert_eq!(v4::parse(&bytes[..cut]), Err(Error::Truncated));
            prop_assert_eq!(v6::parse(PseudoHeader::v6(A6, B6), &bytes[..cut]), Err(Error::Truncated));
        }
        for cut in HEADER_LEN..len {
            // A truncated tail that sums to zero would go undetected; a single non-zero byte does
            // not.
            if len - cut == 1 {
                prop_assert_eq!(v4::parse(&bytes[..cut]), Err(Error::Checksum));
            }
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = v4::parse(&bytes);
        let _ = v6::parse(PseudoHeader::v6(A6, B6), &bytes);
        let _ = v4::quoted(&bytes);
        let _ = v6::quoted(&bytes);
        for first in [0x45, 0x4f, 0x60] {
            let quote = [&[first][..], &bytes].concat();
            let _ = v4::quoted(&quote);
            let _ = v6::quoted(&quote);
        }
    }
}

fn packet_v4(fragment: u16) -> Vec<u8> {
    let header = ipv4::HeaderOut {
        src: A4,
        dst: B4,
        protocol: Protocol::TCP,
        ttl: 1,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment(fragment),
    };
    let mut bytes = vec![0; 20];
    // The packet was longer than its quote.
    assert_eq!(header.emit(1000, &mut bytes), Ok(20));
    bytes.extend(UPPER);
    bytes
}

fn packet_v6(first: Protocol, extensions: &[u8]) -> Vec<u8> {
    let header = ipv6::HeaderOut {
        src: A6,
        dst: B6,
        protocol: first,
        hop_limit: 1,
        traffic_class: TrafficClass(0),
        flow_label: 0,
    };
    let mut bytes = vec![0; 40];
    assert_eq!(header.emit(1000, &mut bytes), Ok(40));
    bytes.extend(extensions);
    bytes.extend(UPPER);
    bytes
}

#[test]
fn a_quote_identifies_the_flow_of_the_lost_packet() {
    let expected = Quote {
        src: A4.into(),
        dst: B4.into(),
        protocol: Protocol::TCP,
        src_port: 80,
        dst_port: 40000,
        seq: 7,
        length: 1020,
    };
    assert_eq!(v4::quoted(&packet_v4(0x4000)), Ok(expected));
    let mut changed_on_the_way = packet_v4(0x4000);
    changed_on_the_way[8] = 0;
    assert_eq!(v4::quoted(&changed_on_the_way), Ok(expected));

    let expected = Quote { src: A6.into(), dst: B6.into(), length: 1040, ..expected };
    assert_eq!(v6::quoted(&packet_v6(Protocol::TCP, &[])), Ok(expected));
    let options = [6, 0, 1, 4, 0, 0, 0, 0];
    assert_eq!(v6::quoted(&packet_v6(Protocol::DESTINATION_OPTIONS, &options)), Ok(expected));
}

#[test]
fn a_quote_that_ends_before_the_sequence_number_is_truncated() {
    let quote = packet_v4(0);
    for cut in 0..quote.len() {
        assert_eq!(v4::quoted(&quote[..cut]), Err(Error::Truncated), "{cut}");
    }
    let quote = packet_v6(Protocol::DESTINATION_OPTIONS, &[6, 0, 1, 4, 0, 0, 0, 0]);
    for cut in 0..quote.len() {
        assert_eq!(v6::quoted(&quote[..cut]), Err(Error::Truncated), "{cut}");
    }
}

#[test]
fn a_later_fragment_identifies_no_flow() {
    assert_eq!(v4::quoted(&packet_v4(0x0003)), Err(Error::Unsupported));
    assert!(v4::quoted(&packet_v4(0x2000)).is_ok());
    let later = packet_v6(Protocol::FRAGMENT, &[6, 0, 0, 0x08, 0, 0, 0, 1]);
    assert_eq!(v6::quoted(&later), Err(Error::Unsupported));
    let first = packet_v6(Protocol::FRAGMENT, &[6, 0, 0, 0x01, 0, 0, 0, 1]);
    assert!(v6::quoted(&first).is_ok());
}

#[test]
fn a_quote_of_another_version_is_malformed() {
    assert_eq!(v4::quoted(&packet_v6(Protocol::TCP, &[])), Err(Error::Malformed));
    assert_eq!(v6::quoted(&packet_v4(0).repeat(2)), Err(Error::Malformed));
}

#[test]
fn our_errors_fit_into_the_minimum_mtu() {
    let packet = [0; 1500];
    assert_eq!(quotable_v4(&packet).len() + 28, 576);
    assert_eq!(quotable_v6(&packet).len() + 48, 1280);
    assert_eq!(quotable_v4(&packet[..60]).len(), 60);
}

#[test]
fn neighbour_discovery_is_passed_on_whole() {
    let pseudo = PseudoHeader::v6(A6, B6);
    let mut bytes = [0; 24];
    let whole = [135; 24];
    let message = v6::Message::NeighbourDiscovery(&whole);
    let len = message.emit(pseudo, &mut bytes).expect("room");
    assert_eq!(v6::parse(pseudo, &bytes), Ok(v6::Message::NeighbourDiscovery(&bytes[..len])));
}
