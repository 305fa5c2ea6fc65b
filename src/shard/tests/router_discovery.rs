//! Router advertisements and redirects through whole shards: the addresses, first hops and
//! parameters that they set (RFC 4861 §6.3, §8, RFC 4862 §5.5), and the messages that are ignored.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::stage::{PORT, Stage, addresses, echo, target};
use crate::metrics::{DropReason, Event};
use crate::shard::{AddressState, CloseReason, Config, DadConfig};
use crate::sim::{HostId, Plan, SharedTally};
use crate::time::Duration;
use crate::wire::checksum::PseudoHeader;
use crate::wire::icmp::{Echo, v6};
use crate::wire::ndp::{
    self, Message, NeighbourAdvertisement, NeighbourSolicitation, Preference, Prefix, Prefixes,
    Redirect, RouterAdvertisement,
};
use crate::wire::{EtherType, MacAddr, Protocol, TrafficClass, ethernet, ipv6, vlan};

const ROUTER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xfe]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xfd]);

fn link_local(mac: MacAddr) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, mac.0[5].into())
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

fn prefix() -> Prefix {
    Prefix {
        prefix: ip("2001:db8:1::"),
        len: 64,
        on_link: true,
        autonomous: true,
        valid_s: 100_000,
        preferred_s: 50_000,
    }
}

fn advertisement(prefixes: &[Prefix]) -> RouterAdvertisement<'_> {
    RouterAdvertisement {
        lifetime_s: 1800,
        source_mac: Some(ROUTER),
        prefixes: Prefixes::new(prefixes),
        ..RouterAdvertisement::default()
    }
}

/// Sends a neighbour discovery message from `mac` to all nodes.
fn send(stage: &mut Stage, host: HostId, mac: MacAddr, message: &Message<'_>) {
    send_with_hop_limit(stage, host, mac, message, ndp::HOP_LIMIT);
}

fn send_with_hop_limit(
    stage: &mut Stage,
    host: HostId,
    mac: MacAddr,
    message: &Message<'_>,
    hop_limit: u8,
) {
    let ends = (link_local(mac), ndp::ALL_NODES);
    let pseudo = PseudoHeader::v6(ends.0, ends.1);
    send_icmp(stage, host, mac, (ends, hop_limit), |bytes| {
        message.emit(pseudo, bytes).expect("room")
    });
}

/// Sends an ICMPv6 message from `mac` to a multicast group or one of the host's addresses.
fn send_icmp(
    stage: &mut Stage,
    host: HostId,
    mac: MacAddr,
    ((src, dst), hop_limit): ((Ipv6Addr, Ipv6Addr), u8),
    emit: impl FnOnce(&mut [u8]) -> usize,
) {
    let mut bytes = vec![0; 400];
    let own = MacAddr([2, 0, 0, 0, 0, host.0 as u8 + 1]);
    let dst_mac = if dst.is_multicast() { MacAddr::of_multicast_v6(dst) } else { own };
    let (ethertype, vlan) = (EtherType::IPV6, vlan::Tags::NONE);
    let header = ethernet::Header { dst: dst_mac, src: mac, ethertype, vlan };
    let at = header.emit(&mut bytes).expect("room");
    let len = emit(&mut bytes[at + ipv6::HEADER_LEN..]);
    let protocol = Protocol::ICMPV6;
    let traffic_class = TrafficClass(0);
    let header = ipv6::HeaderOut { src, dst, protocol, hop_limit, traffic_class, flow_label: 0 };
    header.emit(len, &mut bytes[at..]).expect("room");
    stage.world.inject(host, &bytes[..at + ipv6::HEADER_LEN + len]);
}

fn autoconf(config: &mut Config) {
    config.addresses.clear();
    config.autoconf = Some([5; 16]);
    config.dad = Some(DadConfig::QUICK);
}

/// Adds a client with address autoconfiguration, and waits for duplicate address detection of its
/// link-local address.
fn client(stage: &mut Stage, to: &str) -> (HostId, SharedTally) {
    let remote = SocketAddr::new(IpAddr::V6(ip(to)), PORT);
    let (host, tally) = stage.client_with(Plan::echo(remote, 1, 0), autoconf);
    stage.world.run_for(Duration::from_millis(310));
    (host, tally)
}

fn address_states(stage: &Stage, host: HostId) -> Vec<(IpAddr, AddressState)> {
    stage.world.host(host).shard(0).addresses().collect()
}

/// Returns the TCP packets over IPv6 that the host sent, each with its destination MAC address.
fn segments(frames: &[Vec<u8>], host: HostId) -> Vec<(MacAddr, Vec<u8>)> {
    let from = host.0 as u8 + 1;
    let sent = frames.iter().filter(|f| f[11] == from && f[12..14] == [0x86, 0xdd] && f[20] == 6);
    sent.map(|f| (MacAddr([f[0], f[1], f[2], f[3], f[4], f[5]]), f[14..].to_vec())).collect()
}

fn settle(stage: &mut Stage) {
    stage.world.run_for(Duration::from_millis(350));
}

#[test]
fn a_host_configures_a_link_local_address_and_solicits_routers() {
    // RFC 4862 §5.3, §5.4, RFC 4861 §6.3.7
    let mut stage = Stage::new(80, echo);
    let record = stage.world.record();
    let (host, tally) = client(&mut stage, "2001:db8:1::1");
    let [(IpAddr::V6(address), AddressState::Preferred)] = address_states(&stage, host)[..] else {
        panic!("a link-local address: {:?}", address_states(&stage, host));
    };
    assert!(address.is_unicast_link_local());
    let frames = record.borrow();
    let messages: Vec<_> =
        frames.iter().filter(|f| f[11] == 2 && f[20] == 58).map(|f| (f[54], f[21])).collect();
    // The host probes and announces its address, and solicits routers, all with hop limit 255.
    assert_eq!(messages, [(135, 255), (136, 255), (133, 255)]);
    let solicitation = frames.iter().find(|f| f[11] == 2 && f[54] == 133).expect("it was sent");
    assert_eq!(solicitation[22..38], address.octets());
    assert_eq!(solicitation[38..54], ndp::ALL_ROUTERS.octets());
    assert_eq!(tally.borrow().refused_locally.len(), 0, "the service has not started");
}

#[test]
fn an_advertised_prefix_gives_an_address_for_connections() {
    // RFC 4862 §5.5.3, RFC 4861 §6.3.4
    let server = (IpAddr::V6(ip("2001:db8:1::1")), 64);
    let mut stage = Stage::with(81, echo, |config| config.addresses.push(server));
    let (host, tally) = client(&mut stage, "2001:db8:1::1");
    send(&mut stage, host, ROUTER, &Message::RouterAdvertisement(advertisement(&[prefix()])));
    stage.finish(&tally, 1, Duration::from_secs(3));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), 1);
    let all = address_states(&stage, host);
    assert_eq!(all.len(), 2);
    assert!(
        matches!(all[1], (IpAddr::V6(v6), AddressState::Preferred) if v6.segments()[..4] == [0x2001, 0xdb8, 1, 0])
    );
    assert_eq!(stage.counted(host, Event::RouterHeard), 1);
}

#[test]
fn the_service_starts_without_a_router() {
    let mut stage = Stage::new(82, echo);
    let (_, tally) = client(&mut stage, "2001:db8:1::1");
    stage.world.run_for(Duration::from_secs(6));
    assert_eq!(tally.borrow().refused_locally.len(), 1, "the client has no address for it");
}

#[test]
fn off_link_packets_use_the_router_and_its_advertised_hop_limit() {
    // RFC 4861 §6.3.4
    let mut stage = Stage::new(83, echo);
    let record = stage.world.record();
    let (host, _) = client(&mut stage, "2001:db8:99::1");
    let list = [prefix()];
    let advertised = RouterAdvertisement { hop_limit: 77, mtu: Some(1400), ..advertisement(&list) };
    send(&mut stage, host, ROUTER, &Message::RouterAdvertisement(advertised));
    settle(&mut stage);
    let sent = segments(&record.borrow(), host);
    assert_eq!((sent[0].0, sent[0].1[7]), (ROUTER, 77));
}

#[test]
fn the_preferred_router_is_used_unless_its_lifetime_is_zero() {
    // RFC 4191 §3.1, RFC 4861 §6.3.4
    for (seed, withdrawn) in [(84, false), (85, true)] {
        let mut stage = Stage::new(seed, echo);
        let record = stage.world.record();
        let (host, _) = client(&mut stage, "2001:db8:99::1");
        let list = [prefix()];
        let medium = advertisement(&list);
        send(&mut stage, host, ROUTER, &Message::RouterAdvertisement(medium));
        let high = RouterAdvertisement {
            preference: Preference::High,
            source_mac: Some(OTHER),
            ..advertisement(&[])
        };
        send(&mut stage, host, OTHER, &Message::RouterAdvertisement(high));
        if withdrawn {
            let withdrawal = RouterAdvertisement { lifetime_s: 0, ..high };
            send(&mut stage, host, OTHER, &Message::RouterAdvertisement(withdrawal));
        }
        settle(&mut stage);
        let sent = segments(&record.borrow(), host);
        assert_eq!(sent[0].0, if withdrawn { ROUTER } else { OTHER });
    }
}

#[test]
fn an_unreachable_router_is_replaced_by_another() {
    // RFC 4861 §7.3.3, §6.3.6: the router does not answer unreachability probes.
    let mut stage = Stage::new(86, echo);
    let record = stage.world.record();
    let (host, _) = client(&mut stage, "2001:db8:99::1");
    let list = [prefix()];
    send(&mut stage, host, ROUTER, &Message::RouterAdvertisement(advertisement(&list)));
    let second = RouterAdvertisement { source_mac: Some(OTHER), ..advertisement(&[]) };
    send(&mut stage, host, OTHER, &Message::RouterAdvertisement(second));
    settle(&mut stage);
    assert_eq!(segments(&record.borrow(), host)[0].0, ROUTER);
    // DELAY_FIRST_PROBE_TIME and three unicast probes (§10).
    stage.world.run_for(Duration::from_secs(20));
    let last = segments(&record.borrow(), host).pop().expect("a retransmitted SYN");
    assert_eq!(last.0, OTHER);
}

#[test]
fn only_a_redirect_from_the_first_hop_is_followed() {
    // RFC 4861 §8.1, §8.3
    for (seed, from, followed) in [(87, ROUTER, true), (88, OTHER, false)] {
        let mut stage = Stage::new(seed, echo);
        let record = stage.world.record();
        let (host, _) = client(&mut stage, "2001:db8:99::1");
        let list = [prefix()];
        send(&mut stage, host, ROUTER, &Message::RouterAdvertisement(advertisement(&list)));
        let redirect = Redirect {
            target: link_local(OTHER),
            destination: ip("2001:db8:99::1"),
            target_mac: Some(OTHER),
        };
        send(&mut stage, host, from, &Message::Redirect(redirect));
        settle(&mut stage);
        assert_eq!(segments(&record.borrow(), host)[0].0, if followed { OTHER } else { ROUTER });
        assert_eq!(stage.counted(host, Event::Redirected), u64::from(followed));
        assert_eq!(stage.dropped(host, DropReason::RouterIgnored), u64::from(!followed));
    }
}

#[test]
fn a_duplicate_address_is_replaced_by_a_new_one() {
    // RFC 4862 §5.4.5, RFC 7217 §6
    let mut stage = Stage::new(89, echo);
    let (host, _) = stage.client_with(Plan::echo(target(true), 0, 0), autoconf);
    stage.world.run_for(Duration::from_millis(100));
    let [(IpAddr::V6(first), AddressState::Tentative)] = address_states(&stage, host)[..] else {
        panic!("one address");
    };
    let conflict = NeighbourAdvertisement {
        target: first,
        router: false,
        solicited: false,
        overrides: true,
        target_mac: Some(OTHER),
    };
    send(&mut stage, host, OTHER, &Message::NeighbourAdvertisement(conflict));
    settle(&mut stage);
    let all = address_states(&stage, host);
    assert_eq!(all[0], (first.into(), AddressState::Removed));
    assert!(all[1].0 != all[0].0 && all[1].1 == AddressState::Preferred, "{all:?}");
}

#[test]
fn an_expired_address_closes_its_connections() {
    // RFC 4862 §5.5.4
    let server = (IpAddr::V6(ip("2001:db8:1::1")), 64);
    let mut stage = Stage::with(90, echo, |config| config.addresses.push(server));
    let remote = SocketAddr::new(server.0, PORT);
    let plan = Plan { close: crate::sim::Close::AfterPeer, ..Plan::echo(remote, 1, 0) };
    let (host, tally) = stage.client_with(plan, autoconf);
    stage.world.run_for(Duration::from_millis(310));
    let list = [Prefix { valid_s: 30, preferred_s: 10, ..prefix() }];
    send(&mut stage, host, ROUTER, &Message::RouterAdvertisement(advertisement(&list)));
    settle(&mut stage);
    assert_eq!(
        (address_states(&stage, host)[1].1, tally.borrow().connected),
        (AddressState::Preferred, 1)
    );
    stage.world.run_for(Duration::from_secs(11));
    assert_eq!(address_states(&stage, host)[1].1, AddressState::Deprecated);
    assert_eq!(stage.world.host(host).shard(0).connections(), 1);
    stage.world.run_for(Duration::from_secs(20));
    assert_eq!(address_states(&stage, host)[1].1, AddressState::Removed);
    assert_eq!(stage.world.host(host).shard(0).connections(), 0);
}

#[test]
fn a_host_with_static_addresses_ignores_routers() {
    let mut stage = Stage::new(91, echo);
    let server = stage.server;
    let list = [prefix()];
    send(&mut stage, server, ROUTER, &Message::RouterAdvertisement(advertisement(&list)));
    let redirect = Redirect {
        target: link_local(OTHER),
        destination: ip("2001:db8::77"),
        target_mac: Some(OTHER),
    };
    send(&mut stage, server, ROUTER, &Message::Redirect(redirect));
    stage.world.run_for(Duration::from_secs(1));
    let configured: Vec<_> =
        addresses(1).into_iter().map(|(a, _)| (a, AddressState::Preferred)).collect();
    assert_eq!(address_states(&stage, server), configured);
    assert_eq!(stage.dropped(server, DropReason::RouterIgnored), 2);
}

#[test]
fn a_message_forwarded_by_a_router_is_dropped() {
    // RFC 4861 §6.1.2, §8.1: the hop limit is 255.
    let mut stage = Stage::new(92, echo);
    let (host, _) = client(&mut stage, "2001:db8:1::1");
    let list = [prefix()];
    let message = Message::RouterAdvertisement(advertisement(&list));
    send_with_hop_limit(&mut stage, host, ROUTER, &message, 254);
    settle(&mut stage);
    assert_eq!(address_states(&stage, host).len(), 1);
    assert_eq!(stage.dropped(host, DropReason::Malformed), 1);
}

#[test]
fn a_solicitation_for_a_local_address_is_answered_by_unicast() {
    // RFC 4861 §7.2.4
    let mut stage = Stage::new(93, echo);
    let (server, record) = (stage.server, stage.world.record());
    let IpAddr::V6(local) = addresses(1)[1].0 else { return };
    for target in [local, ip("2001:db8::77")] {
        let solicitation = NeighbourSolicitation { target, source_mac: Some(ROUTER) };
        send(&mut stage, server, ROUTER, &Message::NeighbourSolicitation(solicitation));
    }
    stage.world.run_for(Duration::from_millis(100));
    let frames = record.borrow();
    // The announcement at start-up went to all nodes and does not match.
    let to_router = |f: &&Vec<u8>| f[..6] == ROUTER.0 && f[12] == 0x86 && f[54] == 136;
    let replies: Vec<_> = frames.iter().filter(to_router).collect();
    assert_eq!(replies.len(), 1);
    assert_eq!((&replies[0][..6], replies[0][58] & 0x60), (&ROUTER.0[..], 0x60));
    assert_eq!(replies[0][62..78], local.octets());
}

#[test]
fn echo_requests_are_answered_to_unicast_but_not_multicast() {
    // RFC 4443 §4.2, §2.2
    let mut stage = Stage::new(94, echo);
    let (server, record) = (stage.server, stage.world.record());
    let IpAddr::V6(local) = addresses(1)[1].0 else { return };
    let from = ip("2001:db8::99");
    for to in [ndp::ALL_NODES, local] {
        let pseudo = PseudoHeader::v6(from, to);
        let request = v6::Message::EchoRequest(Echo { ident: 1, sequence: 2, data: b"anybody?" });
        let emit = |bytes: &mut [u8]| request.emit(pseudo, bytes).expect("room");
        send_icmp(&mut stage, server, ROUTER, ((from, to), 64), emit);
    }
    stage.world.run_for(Duration::from_millis(100));
    let frames = record.borrow();
    let replies: Vec<_> =
        frames.iter().filter(|f| f[11] == 1 && f[12] == 0x86 && f[54] == 129).collect();
    assert_eq!(replies.len(), 1);
    assert_eq!((&replies[0][22..38], &replies[0][62..70]), (&local.octets()[..], &b"anybody?"[..]));
    // RFC 4443 §2.3: a wrong checksum, computed for another destination.
    let pseudo = PseudoHeader::v6(from, ndp::ALL_NODES);
    let request = v6::Message::EchoRequest(Echo { ident: 1, sequence: 3, data: b"" });
    drop(frames);
    let emit = |bytes: &mut [u8]| request.emit(pseudo, bytes).expect("room");
    send_icmp(&mut stage, server, ROUTER, ((from, local), 64), emit);
    stage.world.run_for(Duration::from_millis(100));
    assert_eq!(stage.dropped(server, DropReason::IcmpChecksum), 1);
}
