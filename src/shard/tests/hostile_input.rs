//! Hostile and damaged input: SYN floods, guessed cookies, corrupt packets, ping floods, forged
//! ICMP errors (RFC 4443 §2.4 (f)).

use core::net::{IpAddr, Ipv4Addr};

use super::stage::{PORT, Stage, echo, small, target};
use crate::limits::Limits;
use crate::metrics::{DropReason, Event};
use crate::shard::CloseReason;
use crate::sim::{Close, Plan};
use crate::time::Duration;
use crate::wire::checksum::PseudoHeader;
use crate::wire::icmp::{Echo, v4};
use crate::wire::tcp::{HeaderOut, OptionsOut, Timestamps, flag};
use crate::wire::{EtherType, MacAddr, Protocol, TrafficClass, ethernet, ipv4, vlan};

/// Returns the server's IPv4 address.
fn server_v4() -> Ipv4Addr {
    match target(false).ip() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// Builds a frame with a forged segment from `from`.
fn forged(from: Ipv4Addr, header: &HeaderOut<'_>) -> Vec<u8> {
    let pseudo = PseudoHeader::v4(from, server_v4());
    packet(from, Protocol::TCP, |bytes| header.emit(pseudo, (&[], &[]), bytes).expect("room"))
}

/// Builds a frame with an IPv4 packet from `from`.
fn packet(from: Ipv4Addr, protocol: Protocol, payload: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut bytes = vec![0; 200];
    let outer = ethernet::Header {
        dst: MacAddr([2, 0, 0, 0, 0, 1]),
        src: MacAddr([2, 0, 0, 0, 0, 99]),
        ethertype: EtherType::IPV4,
        vlan: vlan::Tags::NONE,
    };
    outer.emit(&mut bytes).expect("room");
    let len = payload(&mut bytes[34..]);
    let ip = ipv4::HeaderOut {
        src: from,
        dst: server_v4(),
        protocol,
        ttl: 64,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    ip.emit(len, &mut bytes[14..]).expect("room");
    bytes.truncate(34 + len);
    bytes
}

fn syn(port: u16) -> HeaderOut<'static> {
    HeaderOut {
        src_port: port,
        dst_port: PORT,
        seq: u32::from(port) * 7919,
        flags: flag::SYN,
        window: 1000,
        options: OptionsOut {
            mss: Some(1460),
            window_shift: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1, echo: 0 }),
            ..OptionsOut::default()
        },
        ..HeaderOut::default()
    }
}

#[test]
fn clients_connect_by_cookies_during_a_syn_flood() {
    let limits = Limits { embryos: 64, ..small() };
    let mut stage = Stage::with(10, echo, |config| config.limits = limits);
    let server = stage.server;
    for n in 0..2000u16 {
        let from = Ipv4Addr::from(0xcb00_7100 + u32::from(n) % 250);
        stage.world.inject(server, &forged(from, &syn(1024 + n)));
    }
    stage.world.run_for(Duration::from_millis(100));
    assert_eq!(stage.world.host(server).shard(0).connections(), 64);
    assert_eq!(stage.counted(server, Event::CookieSent), 2000 - 64);

    let (_, tally) = stage.client(Plan::echo(target(false), 50, 5000));
    stage.finish(&tally, 50, Duration::from_secs(20));
    assert_eq!((tally.borrow().ended(CloseReason::Finished), tally.borrow().wrong), (50, 0));
    assert_eq!(stage.counted(server, Event::CookieAccepted), 50);

    // The embryos of the flood time out and free the SYN table.
    stage.world.run_for(Duration::from_secs(200));
    assert_eq!(stage.world.host(server).shard(0).connections(), 0);
    let (_, tally) = stage.client(Plan::echo(target(false), 5, 10));
    stage.finish(&tally, 5, Duration::from_secs(5));
    assert_eq!(stage.counted(server, Event::CookieAccepted), 50);
}

#[test]
fn a_guessed_cookie_is_refused_with_a_reset() {
    let limits = Limits { embryos: 0, ..small() };
    let mut stage = Stage::with(11, echo, |config| config.limits = limits);
    let from = Ipv4Addr::new(203, 0, 113, 5);
    stage.world.inject(stage.server, &forged(from, &syn(5000)));
    let guess = HeaderOut { seq: 1, ack: 12345, flags: flag::ACK, ..syn(5000) };
    stage.world.inject(stage.server, &forged(from, &guess));
    stage.world.run_for(Duration::from_millis(10));
    assert_eq!(stage.counted(stage.server, Event::CookieSent), 1);
    assert_eq!(stage.counted(stage.server, Event::CookieAccepted), 0);
    assert_eq!(stage.counted(stage.server, Event::ResetOut), 1);
}

#[test]
fn every_damaged_packet_has_a_drop_reason() {
    // RFC 9293 §3.1, MUST-3; §3.9.2.3, MUST-63
    let mut stage = Stage::new(12, echo);
    let server = stage.server;
    let from = Ipv4Addr::new(192, 0, 2, 77);
    let whole = forged(from, &syn(5000));
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut partial = whole.clone();
    let sum = PseudoHeader::v4(from, server_v4()).with(Protocol::TCP, whole.len() - 34);
    // With checksum offload a kernel stores the pseudo-header sum without its complement.
    partial[50..52].copy_from_slice(&(!sum.checksum()).to_be_bytes());
    let loopback = forged(Ipv4Addr::LOCALHOST, &syn(5000));
    let own_address = forged(server_v4(), &syn(5000));
    let stray = forged(from, &HeaderOut { flags: flag::RST, ..syn(5001) });
    let table = [
        (changed(40), DropReason::TcpChecksum),
        (changed(22), DropReason::Ipv4Checksum),
        (changed(5), DropReason::NotOurs),
        (partial, DropReason::PartialChecksum),
        (whole[..40].to_vec(), DropReason::Truncated),
        (loopback, DropReason::BadSource),
        (own_address, DropReason::BadSource),
        (stray, DropReason::StrayReset),
    ];
    for (frame, reason) in table {
        let before = stage.dropped(server, reason);
        stage.world.inject(server, &frame);
        stage.world.run_for(Duration::from_millis(1));
        let shard = stage.world.host(server).shard(0);
        assert_eq!(
            shard.counters().dropped(reason),
            before + 1,
            "{reason:?} {:?}",
            shard.counters()
        );
        assert_eq!(shard.connections(), 0);
    }
}

#[test]
fn a_segment_with_a_partial_checksum_is_accepted_if_configured() {
    let mut stage = Stage::with(13, echo, |config| config.accept_partial_checksums = true);
    let from = Ipv4Addr::new(192, 0, 2, 77);
    let mut frame = forged(from, &syn(5000));
    let sum = PseudoHeader::v4(from, server_v4()).with(Protocol::TCP, frame.len() - 34);
    frame[50..52].copy_from_slice(&(!sum.checksum()).to_be_bytes());
    stage.world.inject(stage.server, &frame);
    stage.world.run_for(Duration::from_millis(1));
    assert_eq!(stage.world.host(stage.server).shard(0).connections(), 1);
}

#[test]
fn an_echo_request_is_answered_at_a_bounded_rate() {
    let mut stage = Stage::new(14, echo);
    let from = Ipv4Addr::new(192, 0, 2, 77);
    let echo = v4::Message::EchoRequest(Echo { ident: 1, sequence: 2, data: b"data" });
    let request = packet(from, Protocol::ICMP, |bytes| echo.emit(bytes).expect("room"));
    let mut damaged = request.clone();
    damaged[38] ^= 1;
    stage.world.inject(stage.server, &request);
    stage.world.inject(stage.server, &damaged);
    stage.world.run_for(Duration::from_millis(1));
    assert_eq!(stage.counted(stage.server, Event::EchoAnswered), 1);
    assert_eq!(stage.dropped(stage.server, DropReason::IcmpChecksum), 1);
    for _ in 0..16 {
        for _ in 0..1000 {
            stage.world.inject(stage.server, &request);
        }
        stage.world.run_for(Duration::from_millis(1));
    }
    // About 10,000: the limit is randomized, so that a sender cannot infer the traffic of others.
    let answered = stage.counted(stage.server, Event::EchoAnswered);
    assert!((5_000..15_000).contains(&answered), "{answered}");
    assert_eq!(stage.dropped(stage.server, DropReason::RateLimited), 16_001 - answered);
}

#[test]
fn an_error_that_quotes_no_local_flow_is_ignored() {
    let mut stage = Stage::new(15, echo);
    let (client, tally) =
        stage.client(Plan { close: Close::AfterPeer, ..Plan::echo(target(false), 1, 10) });
    let connected = stage.world.run(Duration::from_secs(1), |_| tally.borrow().received == 10);
    assert!(connected);
    let peer = Ipv4Addr::new(192, 0, 2, 2);
    let router = Ipv4Addr::new(192, 0, 2, 200);
    let quoted = forged(server_v4(), &HeaderOut { src_port: PORT, dst_port: 999, ..syn(1) });
    let mut quote = quoted[14..].to_vec();
    quote[16..20].copy_from_slice(&peer.octets());
    let error = v4::Message::Unreachable { reason: v4::Unreachable::Port, quote: &quote };
    let frame = packet(router, Protocol::ICMP, |bytes| error.emit(bytes).expect("room"));
    stage.world.inject(stage.server, &frame);
    stage.world.run_for(Duration::from_millis(10));
    assert_eq!(stage.dropped(stage.server, DropReason::IcmpUnmatched), 1);
    assert_eq!(stage.world.host(client).shard(0).connections(), 1);
    assert_eq!(stage.world.host(stage.server).shard(0).connections(), 1);
    assert_eq!(tally.borrow().ended_in_all(), 0);
}
