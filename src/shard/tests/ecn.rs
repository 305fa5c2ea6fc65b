//! The ECN bits of the IP header, received and sent (RFC 3168 §5), and how a program or listener
//! configures ECN.

use super::raw::{IRS, LOCAL, PEER, PEER_PORT, Raw, ack, segment_of, syn};
use crate::shard::{ConnectOptions, EcnPolicy, ListenerConfig, SocketOption};
use crate::wire::checksum::PseudoHeader;
use crate::wire::tcp::{HeaderOut, flag};
use crate::wire::{EtherType, Protocol, TrafficClass, ipv4};

const CE: u8 = 3;
const ECT0: u8 = 2;

/// Delivers a segment of the peer with these ECN bits in its IP header.
fn receive_with_ecn(raw: &mut Raw, header: &HeaderOut<'_>, payload: &[u8], bits: u8) {
    raw.inject(EtherType::IPV4, |bytes| {
        let pseudo = PseudoHeader::v4(PEER, LOCAL);
        let rest = &mut bytes[ipv4::HEADER_LEN..];
        let len = header.emit(pseudo, (payload, &[]), rest).expect("room");
        let ip = ipv4::HeaderOut {
            src: PEER,
            dst: LOCAL,
            protocol: Protocol::TCP,
            ttl: 64,
            traffic_class: TrafficClass(bits),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        ip.emit(len, bytes).expect("room");
        ipv4::HEADER_LEN + len
    });
    raw.run_turns();
}

#[test]
fn ce_is_read_from_the_ip_header_and_ect_is_written_to_it() {
    let mut raw = Raw::new(|_| {});
    let syn = HeaderOut { flags: flag::SYN | flag::AE | flag::CWR | flag::ECE, ..syn() };
    receive_with_ecn(&mut raw, &syn, &[], ECT0);
    let syn_ack = raw.sent().remove(0);
    // RFC 9768 table 2: the SYN came with ECT(0).
    assert_eq!(syn_ack.flags, flag::SYN | flag::ACK | flag::AE);
    assert_eq!(syn_ack.class, 0);
    raw.receives(&HeaderOut { flags: flag::ACK | flag::CWR, ..ack(IRS + 1, syn_ack.seq + 1) }, &[]);
    let data =
        HeaderOut { flags: flag::ACK | flag::AE | flag::ECE, ..ack(IRS + 1, syn_ack.seq + 1) };
    receive_with_ecn(&mut raw, &data, &[7; 100], CE);
    let reply = raw.sent().remove(0);
    assert_eq!(
        reply.flags & (flag::AE | flag::CWR | flag::ECE),
        flag::AE | flag::CWR,
        "one CE mark: the counter is 6"
    );
    let conn = raw.conn();
    raw.with_io(move |io| {
        io.set_option(conn, SocketOption::DiffServ(10));
        assert_eq!(io.write(conn, &[1; 100]), 100);
    });
    let sent = raw.sent().remove(0);
    assert_eq!((sent.len, sent.class), (100, 10 << 2 | ECT0));
}

#[test]
fn a_program_enables_ecn_on_one_connection() {
    let mut raw = Raw::new(|_| {});
    raw.with_io(|io| {
        let open = ConnectOptions { remote: (PEER, PEER_PORT).into(), local: None, user: 0 };
        let conn = io.connect(&open).expect("a port");
        io.set_option(conn, SocketOption::Ecn(EcnPolicy::On));
    });
    // RFC 3168 §6.1.1: an ECN-setup SYN.
    assert_eq!(raw.sent().remove(0).flags, flag::SYN | flag::ECE | flag::CWR);
}

#[test]
fn a_listener_may_refuse_ecn() {
    let mut raw = Raw::new(|_| {});
    let config = ListenerConfig { ecn: Some(EcnPolicy::Off), ..ListenerConfig::on_port(99) };
    raw.shard.listen(config).expect("a free port");
    let syn = segment_of(flag::SYN | flag::ECE | flag::CWR, IRS, 0);
    raw.receives(&HeaderOut { dst_port: 99, ..syn }, &[]);
    assert_eq!(raw.sent().remove(0).flags, flag::SYN | flag::ACK);
    raw.receives(&syn, &[]);
    let _ = raw.sent();
    raw.receives(&HeaderOut { src_port: PEER_PORT + 1, ..syn }, &[]);
    assert_eq!(raw.sent().remove(0).flags, flag::SYN | flag::ACK | flag::ECE);
}
