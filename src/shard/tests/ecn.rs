//! The congestion bits of the IP header, in and out, over IPv4 and IPv6 (RFC 3168 §5): two stacks and a
//! router between them that marks.

use super::raw::{IRS, PEER, PEER_PORT, Raw, US, ack, segment_of, syn};
use crate::shard::{ConnectOptions, EcnPolicy, ListenerConfig, SocketOption};
use crate::wire::checksum::PseudoHeader;
use crate::wire::tcp::{HeaderOut, flag};
use crate::wire::{EtherType, Protocol, TrafficClass, ipv4};

const CE: u8 = 3;
const ECT0: u8 = 2;

/// A segment of the peer that comes with these bits.
fn hears_marked(raw: &mut Raw, header: &HeaderOut<'_>, payload: &[u8], bits: u8) {
    raw.puts(EtherType::IPV4, |bytes| {
        let pseudo = PseudoHeader::v4(PEER, US);
        let rest = &mut bytes[ipv4::HEADER_LEN..];
        let len = header.emit(pseudo, (payload, &[]), rest).expect("room");
        let ip = ipv4::HeaderOut {
            src: PEER,
            dst: US,
            protocol: Protocol::TCP,
            ttl: 64,
            traffic_class: TrafficClass(bits),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        ip.emit(len, bytes).expect("room");
        ipv4::HEADER_LEN + len
    });
    raw.turns();
}

#[test]
fn marks_are_read_from_the_ip_header_and_ect_is_written_to_it() {
    let mut raw = Raw::new(|_| {});
    let asks = HeaderOut { flags: flag::SYN | flag::AE | flag::CWR | flag::ECE, ..syn() };
    hears_marked(&mut raw, &asks, &[], ECT0);
    let answer = raw.got().remove(0);
    // RFC 9768 table 2: the SYN came with ECT(0).
    assert_eq!(answer.flags, flag::SYN | flag::ACK | flag::AE);
    assert_eq!(answer.class, 0);
    raw.hears(&HeaderOut { flags: flag::ACK | flag::CWR, ..ack(IRS + 1, answer.seq + 1) }, &[]);
    let data =
        HeaderOut { flags: flag::ACK | flag::AE | flag::ECE, ..ack(IRS + 1, answer.seq + 1) };
    hears_marked(&mut raw, &data, &[7; 100], CE);
    let told = raw.got().remove(0);
    assert_eq!(
        told.flags & (flag::AE | flag::CWR | flag::ECE),
        flag::AE | flag::CWR,
        "one mark: 6"
    );
    let conn = raw.conn();
    raw.orders(move |io| {
        io.set_option(conn, SocketOption::DiffServ(10));
        assert_eq!(io.write(conn, &[1; 100]), 100);
    });
    let sent = raw.got().remove(0);
    assert_eq!((sent.len, sent.class), (100, 10 << 2 | ECT0));
}

#[test]
fn a_program_asks_for_ecn_on_one_connection() {
    let mut raw = Raw::new(|_| {});
    raw.orders(|io| {
        let open = ConnectOptions { remote: (PEER, PEER_PORT).into(), local: None, user: 0 };
        let conn = io.connect(&open).expect("a port");
        io.set_option(conn, SocketOption::Ecn(EcnPolicy::On));
    });
    // RFC 3168 §6.1.1: an ECN-setup SYN.
    assert_eq!(raw.got().remove(0).flags, flag::SYN | flag::ECE | flag::CWR);
}

#[test]
fn a_listener_may_refuse_ecn() {
    let mut raw = Raw::new(|_| {});
    let config = ListenerConfig { ecn: Some(EcnPolicy::Off), ..ListenerConfig::on_port(99) };
    raw.shard.listen(config).expect("a free port");
    let asks = segment_of(flag::SYN | flag::ECE | flag::CWR, IRS, 0);
    raw.hears(&HeaderOut { dst_port: 99, ..asks }, &[]);
    assert_eq!(raw.got().remove(0).flags, flag::SYN | flag::ACK);
    raw.hears(&asks, &[]);
    let _ = raw.got();
    raw.hears(&HeaderOut { src_port: PEER_PORT + 1, ..asks }, &[]);
    assert_eq!(raw.got().remove(0).flags, flag::SYN | flag::ACK | flag::ECE);
}
