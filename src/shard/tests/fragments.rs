//! Fragments on the wire: whole shards that receive fragmented datagrams.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::stage::{PORT, Stage, addresses, echo};
use crate::metrics::{DropReason, Event};
use crate::sim::HostId;
use crate::time::Duration;
use crate::wire::checksum::PseudoHeader;
use crate::wire::icmp::{Echo, v4, v6};
use crate::wire::ndp::{self, Message, NeighbourSolicitation};
use crate::wire::tcp::{HeaderOut, OptionsOut, flag};
use crate::wire::{EtherType, MacAddr, Protocol, TrafficClass, ethernet, ipv4, ipv6, vlan};

const SERVER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// The host that the fragments claim to come from.
const SENDER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn v4_of(n: u8) -> Ipv4Addr {
    match addresses(n)[0].0 {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

fn v6_of(n: u8) -> Ipv6Addr {
    match addresses(n)[1].0 {
        IpAddr::V6(address) => address,
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
    }
}

fn link(ethertype: EtherType, packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + packet.len()];
    let header = ethernet::Header { dst: SERVER, src: SENDER, ethertype, vlan: vlan::Tags::NONE };
    header.emit(&mut bytes).expect("room");
    bytes[14..].copy_from_slice(packet);
    bytes
}

/// Builds an IPv4 fragment of `payload[from..to]`.
fn fragment_v4(protocol: Protocol, ident: u16, payload: &[u8], from: usize, to: usize) -> Vec<u8> {
    let more = u16::from(to < payload.len()) << 13;
    let ip = ipv4::HeaderOut {
        src: v4_of(2),
        dst: v4_of(1),
        protocol,
        ttl: 64,
        traffic_class: TrafficClass(0),
        ident,
        fragment: ipv4::Fragment(more | (from / 8) as u16),
    };
    let mut packet = vec![0; 20 + to - from];
    ip.emit(to - from, &mut packet).expect("room");
    packet[20..].copy_from_slice(&payload[from..to]);
    link(EtherType::IPV4, &packet)
}

/// Builds an IPv6 fragment of `payload[from..to]`.
fn fragment_v6(protocol: Protocol, ident: u32, payload: &[u8], from: usize, to: usize) -> Vec<u8> {
    let ip = ipv6::HeaderOut {
        src: v6_of(2),
        dst: v6_of(1),
        protocol: Protocol::FRAGMENT,
        hop_limit: if protocol == Protocol::ICMPV6 { 255 } else { 64 },
        traffic_class: TrafficClass(0),
        flow_label: 0,
    };
    let mut packet = vec![0; 48 + to - from];
    ip.emit(8 + to - from, &mut packet).expect("room");
    let field = (from as u16) | u16::from(to < payload.len());
    packet[40] = protocol.0;
    packet[42..44].copy_from_slice(&field.to_be_bytes());
    packet[44..48].copy_from_slice(&ident.to_be_bytes());
    packet[48..].copy_from_slice(&payload[from..to]);
    link(EtherType::IPV6, &packet)
}

fn syn(pseudo: PseudoHeader) -> Vec<u8> {
    let header = HeaderOut {
        src_port: 5000,
        dst_port: PORT,
        seq: 7,
        flags: flag::SYN,
        window: 1000,
        options: OptionsOut { mss: Some(1460), ..OptionsOut::default() },
        ..HeaderOut::default()
    };
    let mut bytes = vec![0; 64];
    let len = header.emit(pseudo, (&[], &[]), &mut bytes).expect("room");
    bytes.truncate(len);
    bytes
}

fn ping_v4(len: usize) -> Vec<u8> {
    let data = vec![7; len];
    let message = v4::Message::EchoRequest(Echo { ident: 1, sequence: 2, data: &data });
    let mut bytes = vec![0; 8 + len];
    message.emit(&mut bytes).expect("room");
    bytes
}

/// Builds an echo request in two fragments.
pub(super) fn ping_fragments(ident: u16) -> [Vec<u8>; 2] {
    let bytes = ping_v4(200);
    [(0, 104), (104, 208)].map(|(from, to)| fragment_v4(Protocol::ICMP, ident, &bytes, from, to))
}

fn send(stage: &mut Stage, frames: &[Vec<u8>]) {
    for frame in frames {
        stage.world.inject(stage.server, frame);
    }
    stage.world.run_for(Duration::from_millis(10));
}

fn connections(stage: &Stage) -> usize {
    stage.world.host(stage.server).shard(0).connections()
}

#[test]
fn a_fragmented_syn_opens_a_connection_over_ipv4_and_ipv6() {
    let mut stage = Stage::new(30, echo);
    // RFC 791 §3.2
    let bytes = syn(PseudoHeader::v4(v4_of(2), v4_of(1)));
    let cut = |from, to| fragment_v4(Protocol::TCP, 9, &bytes, from, to);
    send(&mut stage, &[cut(16, 24), cut(0, 16)]);
    assert_eq!(connections(&stage), 1);
    // RFC 8200 §4.5
    let bytes = syn(PseudoHeader::v6(v6_of(2), v6_of(1)));
    let padded = [&bytes[..], &[0; 0]].concat();
    let cut = |from, to| fragment_v6(Protocol::TCP, 9, &padded, from, to);
    send(&mut stage, &[cut(0, 24)]);
    assert_eq!(connections(&stage), 2, "RFC 6946 §4: an atomic fragment needs no others");
    assert_eq!(stage.counted(stage.server, Event::Reassembled), 1);
}

#[test]
fn a_fragmented_echo_request_is_answered() {
    let mut stage = Stage::new(31, echo);
    let bytes = ping_v4(1200);
    let cut = |from, to| fragment_v4(Protocol::ICMP, 9, &bytes, from, to);
    send(&mut stage, &[cut(0, 400), cut(800, 1208), cut(400, 800)]);
    assert_eq!(stage.counted(stage.server, Event::EchoAnswered), 1);
    assert_eq!(stage.counted(stage.server, Event::FragmentIn), 3);
}

/// RFC 5722 §4, for both versions.
#[test]
fn overlapping_fragments_open_no_connection() {
    let mut stage = Stage::new(32, echo);
    let bytes = syn(PseudoHeader::v4(v4_of(2), v4_of(1)));
    let cut = |from, to| fragment_v4(Protocol::TCP, 9, &bytes, from, to);
    send(&mut stage, &[cut(0, 16), cut(8, 24), cut(16, 24)]);
    let bytes = syn(PseudoHeader::v6(v6_of(2), v6_of(1)));
    let bytes = [&bytes[..], &[0; 40]].concat();
    let cut = |from, to| fragment_v6(Protocol::TCP, 9, &bytes, from, to);
    send(&mut stage, &[cut(0, 32), cut(24, 64), cut(32, 64)]);
    assert_eq!(connections(&stage), 0);
    assert_eq!(stage.dropped(stage.server, DropReason::FragmentOverlap), 4);
}

/// Adds the host that the fragments come from, so that replies to it can be recorded.
fn with_sender(seed: u64) -> (Stage, HostId) {
    let mut stage = Stage::new(seed, echo);
    let (sender, _) = stage.client(crate::sim::Plan::echo(super::stage::target(false), 0, 0));
    (stage, sender)
}

/// Sends `frames` to the server and waits. Returns the ICMP messages to the sender: type, code, and
/// the message from byte 4 on.
fn icmp_replies(stage: &mut Stage, frames: &[Vec<u8>], wait: Duration) -> Vec<(u8, u8, Vec<u8>)> {
    let record = stage.world.record();
    for frame in frames {
        stage.world.inject(stage.server, frame);
    }
    stage.world.run_for(wait);
    let frames = record.borrow();
    let icmp = frames.iter().filter_map(|frame| {
        let at = match frame.get(12..14)? {
            [8, 0] if frame[23] == 1 => 34,
            [0x86, 0xdd] if frame[20] == 58 => 54,
            _ => return None,
        };
        (frame[..6] == SENDER.0).then(|| (frame[at], frame[at + 1], frame[at + 4..].to_vec()))
    });
    icmp.filter(|(kind, ..)| ![135, 136].contains(kind)).collect()
}

/// RFC 792, RFC 1122 §3.3.2: time exceeded, code 1, to the sender of a first fragment.
/// RFC 8200 §4.5, RFC 4443 §3.3: type 3, code 1.
#[test]
fn a_reassembly_timeout_is_reported_to_the_sender_of_the_first_fragment() {
    let (mut stage, _) = with_sender(33);
    let bytes = ping_v4(1200);
    let first = fragment_v4(Protocol::ICMP, 9, &bytes, 0, 400);
    let later = fragment_v4(Protocol::ICMP, 10, &bytes, 400, 800);
    let replies = icmp_replies(&mut stage, &[first.clone(), later], Duration::from_secs(31));
    assert_eq!(replies.len(), 1, "for the first fragment only");
    assert_eq!((replies[0].0, replies[0].1), (11, 1));
    // RFC 1122 §3.2.2: the IP header and at least eight bytes.
    assert!(replies[0].2[4..].starts_with(&first[14..14 + 28]));
    assert_eq!(stage.dropped(stage.server, DropReason::ReassemblyTimeout), 2);

    let bytes = syn(PseudoHeader::v6(v6_of(2), v6_of(1)));
    let bytes = [&bytes[..], &[0; 40]].concat();
    let first = fragment_v6(Protocol::TCP, 9, &bytes, 0, 32);
    let replies = icmp_replies(&mut stage, std::slice::from_ref(&first), Duration::from_secs(61));
    assert_eq!((replies.len(), replies[0].0, replies[0].1), (1, 3, 1));
    assert!(replies[0].2[4..].starts_with(&first[14..]));
}

/// RFC 8200 §4.5: parameter problem, code 0, pointing to the payload length or fragment offset;
/// code 3 for a first fragment without all headers (RFC 7112 §5).
#[test]
fn malformed_ipv6_fragments_get_a_parameter_problem() {
    let (mut stage, _) = with_sender(34);
    let bytes = vec![0; 4096];
    let wait = Duration::from_millis(10);
    let problem = |stage: &mut Stage, frame: Vec<u8>| {
        let replies = icmp_replies(stage, &[frame], wait);
        let (kind, code, rest) = replies.first().cloned().expect("a reply");
        (kind, code, u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]))
    };
    let odd = fragment_v6(Protocol::TCP, 1, &bytes, 8, 21);
    assert_eq!(problem(&mut stage, odd), (4, 0, 4));
    let mut far = fragment_v6(Protocol::TCP, 2, &bytes, 8, 16);
    far[14 + 42..14 + 44].copy_from_slice(&0xfff9u16.to_be_bytes());
    assert_eq!(problem(&mut stage, far), (4, 0, 42));
    let headless = fragment_v6(Protocol::TCP, 3, &bytes, 0, 8);
    assert_eq!(problem(&mut stage, headless), (4, 3, 0));
    assert_eq!(stage.dropped(stage.server, DropReason::FragmentMalformed), 3);
}

/// RFC 6980 §5: neighbour discovery in fragments, even in an atomic fragment, is ignored.
#[test]
fn fragmented_neighbour_discovery_is_ignored() {
    let mut stage = Stage::new(35, echo);
    let solicitation = NeighbourSolicitation { target: v6_of(1), source_mac: Some(SENDER) };
    let mut bytes = vec![0; 64];
    let pseudo = PseudoHeader::v6(v6_of(2), v6_of(1));
    let len = Message::NeighbourSolicitation(solicitation).emit(pseudo, &mut bytes).expect("room");
    let bytes = &bytes[..len];
    let atomic = fragment_v6(Protocol::ICMPV6, 1, bytes, 0, len);
    let fragments =
        [(0, 16), (16, len)].map(|(from, to)| fragment_v6(Protocol::ICMPV6, 2, bytes, from, to));
    send(&mut stage, &[atomic]);
    send(&mut stage, &fragments);
    assert_eq!(stage.counted(stage.server, Event::Reassembled), 1);
    assert_eq!(stage.counted(stage.server, Event::NeighbourAnswered), 0);
    assert_eq!(stage.dropped(stage.server, DropReason::Malformed), 2);
    assert_eq!(ndp::HOP_LIMIT, 255);
}

/// RFC 4443 §4.2: the same over IPv6.
#[test]
fn a_fragmented_ipv6_echo_request_is_answered() {
    let mut stage = Stage::new(36, echo);
    let message = v6::Message::EchoRequest(Echo { ident: 1, sequence: 2, data: &[9; 1000] });
    let mut bytes = vec![0; 1008];
    message.emit(PseudoHeader::v6(v6_of(2), v6_of(1)), &mut bytes).expect("room");
    let cut = |from, to| fragment_v6(Protocol::ICMPV6, 9, &bytes, from, to);
    send(&mut stage, &[cut(504, 1008), cut(0, 504)]);
    assert_eq!(stage.counted(stage.server, Event::EchoAnswered), 1);
}
