//! Any frame parses down to its payload or is refused. Nothing panics, and every returned slice
//! lies inside the frame.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linerate::wire::checksum::PseudoHeader;
use linerate::wire::{
    EtherType, Protocol, arp, checksum, ethernet, icmp, ipv4, ipv6, ndp, source_kind, tcp,
};

fuzz_target!(|frame: &[u8]| {
    let Ok((header, packet)) = ethernet::parse(frame) else { return };
    assert_eq!(header.byte_len() + packet.len(), frame.len());
    match header.ethertype {
        EtherType::ARP => read_back_arp(packet),
        EtherType::IPV4 => {
            read_ipv4(packet);
            read_ipv4(&repaired(packet));
        }
        EtherType::IPV6 => read_ipv6(packet),
        _ => {
            // Checksums reject most inputs, so also parse without them.
            read_tcp(PseudoHeader::v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into()), packet);
            let _ = icmp::v4::quoted(packet);
            let _ = icmp::v6::quoted(packet);
        }
    }
});

fn read_back_arp(packet: &[u8]) {
    let Ok(read) = arp::parse(packet) else { return };
    let mut bytes = [0; arp::PACKET_LEN];
    assert_eq!(read.emit(&mut bytes), Ok(arp::PACKET_LEN));
    assert_eq!(bytes, packet[..arp::PACKET_LEN]);
}

/// Sets a valid header checksum, since random input almost never has one.
fn repaired(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let header_len = packet.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    if let Some(header) = packet.get_mut(..header_len).filter(|header| header.len() >= 20) {
        header[10..12].fill(0);
        let sum = checksum::sum(header).checksum();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

fn read_ipv4(packet: &[u8]) {
    let Ok((header, payload)) = ipv4::parse(packet) else { return };
    assert_eq!(usize::from(header.header_len) + payload.len(), usize::from(header.total_len));
    let _ = source_kind(header.src.into());
    match header.protocol {
        Protocol::TCP => read_tcp(PseudoHeader::v4(header.src, header.dst), payload),
        Protocol::ICMP => {
            if let Ok(icmp::v4::Message::Unreachable { quote, .. }) = icmp::v4::parse(payload) {
                let _ = icmp::v4::quoted(quote);
            }
        }
        _ => {}
    }
}

fn read_ipv6(packet: &[u8]) {
    let Ok((header, payload)) = ipv6::parse(packet) else { return };
    let walked = usize::from(header.extensions_len) + payload.len();
    assert_eq!(walked, usize::from(header.payload_len));
    let _ = source_kind(header.src.into());
    let pseudo = PseudoHeader::v6(header.src, header.dst);
    match header.protocol {
        Protocol::TCP => read_tcp(pseudo, payload),
        Protocol::ICMPV6 => {
            if let Ok(icmp::v6::Message::TooBig { quote, .. }) = icmp::v6::parse(pseudo, payload) {
                let _ = icmp::v6::quoted(quote);
            }
            read_back_ndp(&header, pseudo, payload);
        }
        _ => {}
    }
}

fn read_back_ndp(header: &ipv6::Header, pseudo: PseudoHeader, payload: &[u8]) {
    let Ok(message) = ndp::parse(header, payload) else { return };
    let mut bytes = vec![0; payload.len() + 64];
    let len =
        message.emit(pseudo, &mut bytes).expect("a parsed message fits in its original length");
    assert_eq!(ndp::parse(header, &bytes[..len]), Ok(message));
}

fn read_tcp(pseudo: PseudoHeader, segment: &[u8]) {
    let _ = tcp::verify(pseudo, segment);
    if let Ok((header, data)) = tcp::parse(segment) {
        assert_eq!(usize::from(header.header_len) + data.len(), segment.len());
    }
}
