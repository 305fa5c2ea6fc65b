//! Duplicate address detection: addresses are probed before use, refused on conflict, and defended
//! later (RFC 4862 §5.4, RFC 5227).

use core::net::IpAddr;

use super::stage::{Stage, addresses, echo, target};
use crate::metrics::Event;
use crate::shard::{AddressState, CloseReason, DadConfig};
use crate::sim::{HostId, Plan};
use crate::time::Duration;
use crate::wire::{EtherType, MacAddr, arp, ethernet, vlan};

const SERVER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddr = MacAddr([2, 0, 0, 0, 0, 99]);

fn address_states(stage: &Stage, host: HostId) -> Vec<AddressState> {
    stage.world.host(host).shard(0).addresses().map(|(_, state)| state).collect()
}

fn no_connections() -> Plan {
    Plan::echo(target(false), 0, 0)
}

fn arp_frame(packet: &arp::Packet) -> Vec<u8> {
    let mut bytes = vec![0; 60];
    let header = ethernet::Header {
        dst: MacAddr::BROADCAST,
        src: packet.sender_mac,
        ethertype: EtherType::ARP,
        vlan: vlan::Tags::NONE,
    };
    let at = header.emit(&mut bytes).expect("room");
    packet.emit(&mut bytes[at..]).expect("room");
    bytes
}

fn v4_of(n: u8) -> core::net::Ipv4Addr {
    match addresses(n)[0].0 {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => unreachable!("the first is IPv4"),
    }
}

/// Returns the ARP packets and the types of the ICMPv6 messages that `from` sent.
fn sent_by(frames: &[Vec<u8>], from: MacAddr) -> (Vec<arp::Packet>, Vec<u8>) {
    let sent = || frames.iter().filter(move |frame| frame[6..12] == from.0);
    let arps = sent().filter(|f| f[12..14] == [8, 6]).filter_map(|f| arp::parse(&f[14..]).ok());
    let icmp = sent().filter(|f| f[12..14] == [0x86, 0xdd] && f[20] == 58).map(|f| f[54]);
    (arps.collect(), icmp.collect())
}

#[test]
fn a_service_starts_after_duplicate_address_detection() {
    // RFC 4862 §5.4, RFC 5227 §2.1
    let mut stage = Stage::new(60, echo);
    let record = stage.world.record();
    let dad = Some(DadConfig::QUICK);
    let (client, tally) = stage.client_with(Plan::echo(target(true), 2, 10), |c| c.dad = dad);
    stage.world.run_for(Duration::from_millis(240));
    assert_eq!(address_states(&stage, client), [AddressState::Tentative; 2]);
    assert_eq!(tally.borrow().connected, 0);
    {
        let frames = record.borrow();
        let (arps, icmp) = sent_by(&frames, MacAddr([2, 0, 0, 0, 0, 2]));
        // RFC 5227 §2.1.1: an all-zero sender address, so that no cache is polluted.
        assert_eq!(arps.len(), 2);
        assert!(arps.iter().all(|p| p.sender_ip.is_unspecified() && p.target_ip == v4_of(2)));
        assert_eq!(icmp, [135], "one solicitation, from the unspecified address");
        let solicitation =
            frames.iter().find(|f| f[11] == 2 && f[12..14] == [0x86, 0xdd]).expect("it was sent");
        assert_eq!(solicitation[22..38], [0; 16]);
    }
    stage.finish(&tally, 2, Duration::from_secs(2));
    assert_eq!(tally.borrow().ended(CloseReason::Finished), 2);
    assert_eq!(address_states(&stage, client), [AddressState::Preferred; 2]);
    stage.world.run_for(Duration::from_secs(3));
    let (arps, _) = sent_by(&record.borrow(), MacAddr([2, 0, 0, 0, 0, 2]));
    let announced = arps.iter().filter(|p| p.sender_ip == p.target_ip).count();
    assert_eq!(announced, 2, "RFC 5227 §2.3");
}

#[test]
fn a_duplicate_address_is_refused_and_its_owner_reported() {
    // RFC 4862 §5.4.4, §5.4.5, RFC 5227 §2.1.1
    let mut stage = Stage::new(61, echo);
    let (second, _) = stage.client_with(no_connections(), |config| {
        config.dad = Some(DadConfig::QUICK);
        config.addresses = addresses(1);
    });
    stage.world.run_for(Duration::from_secs(1));
    assert_eq!(address_states(&stage, second), [AddressState::Refused(SERVER); 2]);
    assert_eq!(stage.counted(second, Event::AddressConflict), 2);
    assert_eq!(address_states(&stage, stage.server), [AddressState::Preferred; 2]);
}

#[test]
fn two_hosts_that_probe_the_same_address_both_refuse_it() {
    // RFC 4862 §5.4.3, RFC 5227 §2.1.1
    let mut stage = Stage::new(62, echo);
    let probe = |config: &mut crate::shard::Config| {
        config.dad = Some(DadConfig::QUICK);
        config.addresses = addresses(9);
    };
    let (one, _) = stage.client_with(no_connections(), probe);
    let (other, _) = stage.client_with(no_connections(), probe);
    stage.world.run_for(Duration::from_secs(1));
    for host in [one, other] {
        let refused = |state: &AddressState| matches!(state, AddressState::Refused(_));
        assert!(address_states(&stage, host).iter().all(refused));
    }
}

#[test]
fn a_tentative_address_answers_no_packets() {
    // RFC 4862 §5.4:
    //   > other packets addressed to the tentative address should be silently discarded.
    let mut stage = Stage::new(63, echo);
    let mut client = None;
    for ipv6 in [false, true] {
        // One client probes an address while another client tries to connect to it.
        let (host, _) = stage.client_with(no_connections(), |c| c.dad = Some(DadConfig::THOROUGH));
        let remote =
            core::net::SocketAddr::new(addresses(if ipv6 { 4 } else { 2 })[usize::from(ipv6)].0, 7);
        let (_, tally) = stage.client(Plan::echo(remote, 1, 0));
        stage.world.run_for(Duration::from_millis(900));
        assert_eq!(tally.borrow().connected, 0);
        client = Some(host);
        assert_eq!(stage.counted(host, Event::NeighbourAnswered), 0);
    }
    let host = client.expect("there were two");
    assert_eq!(address_states(&stage, host), [AddressState::Tentative; 2]);
}

#[test]
fn an_address_is_defended_at_most_once_per_ten_seconds() {
    // RFC 5227 §2.4 (c)
    let mut stage = Stage::new(64, echo);
    let server = stage.server;
    stage.world.run_for(Duration::from_secs(1));
    let conflict = arp_frame(&arp::Packet {
        operation: arp::Operation::Request,
        sender_mac: OTHER,
        sender_ip: v4_of(1),
        target_mac: MacAddr::ZERO,
        target_ip: v4_of(1),
    });
    let record = stage.world.record();
    for _ in 0..12 {
        stage.world.inject(server, &conflict);
        stage.world.run_for(Duration::from_secs(1));
    }
    let (arps, _) = sent_by(&record.borrow(), SERVER);
    assert_eq!(arps.len(), 2, "at once, and ten seconds later");
    assert!(arps.iter().all(|p| p.sender_ip == v4_of(1) && p.target_ip == v4_of(1)));
    assert_eq!(stage.counted(server, Event::AddressConflict), 12);
    assert_eq!(address_states(&stage, server), [AddressState::Preferred; 2], "and kept");
}
