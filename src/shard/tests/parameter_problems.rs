//! Parameter problems: the ICMPv6 errors for unsupported IPv6 options and routing headers (RFC 8200
//! §4.2, §4.4).

use core::net::{IpAddr, Ipv6Addr};

use super::stage::{Stage, addresses, echo};
use crate::metrics::DropReason;
use crate::time::Duration;
use crate::wire::ndp;
use crate::wire::{EtherType, MacAddr, Protocol, TrafficClass, ethernet, ipv6, vlan};

const SERVER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SENDER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn v6_of(n: u8) -> Ipv6Addr {
    match addresses(n)[1].0 {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => unreachable!("the second is IPv6"),
    }
}

/// Builds a packet with one extension header in front of 20 zero bytes.
fn frame(src: Ipv6Addr, dst: Ipv6Addr, first: Protocol, extension: &[u8]) -> Vec<u8> {
    let to = if dst.is_multicast() { MacAddr::of_multicast_v6(dst) } else { SERVER };
    let vlan = vlan::Tags::NONE;
    let link = ethernet::Header { dst: to, src: SENDER, ethertype: EtherType::IPV6, vlan };
    let ip = ipv6::HeaderOut {
        src,
        dst,
        protocol: first,
        hop_limit: 64,
        traffic_class: TrafficClass(0),
        flow_label: 0,
    };
    let mut bytes = vec![0; 14 + ipv6::HEADER_LEN];
    link.emit(&mut bytes).expect("room");
    ip.emit(extension.len() + 20, &mut bytes[14..]).expect("room");
    bytes.extend_from_slice(extension);
    bytes.extend_from_slice(&[0; 20]);
    bytes
}

/// Sends a packet to the server. Returns the parameter problem in reply: source, code and pointer.
fn reply_to(stage: &mut Stage, sent: &[u8]) -> Option<(Ipv6Addr, u8, u32)> {
    let record = stage.world.record();
    let before = record.borrow().len();
    let server = stage.server;
    stage.world.inject(server, sent);
    stage.world.run_for(Duration::from_millis(10));
    let frames = record.borrow();
    let of_server = frames[before..].iter().filter(|frame| frame[6..12] == SERVER.0);
    let mut problems = of_server.filter(|f| f[12..14] == [0x86, 0xdd] && f[20] == 58 && f[54] == 4);
    let found = problems.next()?;
    assert_eq!(problems.next(), None);
    // RFC 4443 §3.4: the error quotes as much of the packet as fits.
    assert_eq!(found[62..], sent[14..]);
    let from: [u8; 16] = found[22..38].try_into().expect("an address");
    let pointer = u32::from_be_bytes(found[58..62].try_into().expect("four bytes"));
    Some((from.into(), found[55], pointer))
}

fn options(kind: u8) -> [u8; 8] {
    [Protocol::TCP.0, 0, 1, 0, kind, 2, 0, 0]
}

#[test]
fn an_unrecognized_option_is_reported_with_its_offset() {
    let mut stage = Stage::new(110, echo);
    let first = Protocol::DESTINATION_OPTIONS;
    for (kind, expected) in [
        // RFC 8200 §4.2: action 01 discards; 10 and 11 also send code 2, pointing to the option.
        (0x45, None),
        (0x85, Some((v6_of(1), 2, 44))),
        (0xc5, Some((v6_of(1), 2, 44))),
    ] {
        let sent = frame(v6_of(2), v6_of(1), first, &options(kind));
        assert_eq!(reply_to(&mut stage, &sent), expected, "{kind:#x}");
    }
    assert_eq!(stage.dropped(stage.server, DropReason::UnknownProtocol), 3);
}

#[test]
fn for_a_multicast_packet_only_option_action_10_is_reported() {
    // RFC 8200 §4.2: action 10 reports whatever the destination; 11 only if it was not multicast.
    let mut stage = Stage::new(111, echo);
    let (first, group) = (Protocol::HOP_BY_HOP, ndp::ALL_NODES);
    let sent = frame(v6_of(2), group, first, &options(0x85));
    assert_eq!(reply_to(&mut stage, &sent), Some((v6_of(1), 2, 44)));
    let sent = frame(v6_of(2), group, first, &options(0xc5));
    assert_eq!(reply_to(&mut stage, &sent), None);
}

#[test]
fn an_unfinished_routing_header_is_reported() {
    // RFC 8200 §4.4: code 0, pointing to the routing type; RFC 5095 §3 for type 0.
    let mut stage = Stage::new(112, echo);
    for kind in [0, 4, 200] {
        let routing = [Protocol::TCP.0, 0, kind, 1, 0, 0, 0, 0];
        let sent = frame(v6_of(2), v6_of(1), Protocol::ROUTING, &routing);
        assert_eq!(reply_to(&mut stage, &sent), Some((v6_of(1), 0, 42)), "{kind}");
    }
}

#[test]
fn no_error_is_sent_to_a_source_that_is_not_one_host() {
    // RFC 4443 §2.4 (e.6)
    let mut stage = Stage::new(113, echo);
    for src in [Ipv6Addr::UNSPECIFIED, ndp::ALL_NODES] {
        let sent = frame(src, v6_of(1), Protocol::DESTINATION_OPTIONS, &options(0x85));
        assert_eq!(reply_to(&mut stage, &sent), None, "{src}");
    }
}
