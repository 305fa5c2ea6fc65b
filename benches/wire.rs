//! Bytes to fields and back: the cost of a frame before and after the protocol.

use core::hint::black_box;
use core::net::{Ipv4Addr, Ipv6Addr};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linerate::wire::checksum::{self, PseudoHeader, Verdict};
use linerate::wire::vlan::Tags;
use linerate::wire::{
    EtherType, MacAddr, Protocol, SourceKind, TrafficClass, ethernet, ipv4, ipv6, source_kind_v4,
    source_kind_v6, tcp,
};

const A4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const A6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const B6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

fn tcp_header() -> tcp::HeaderOut<'static> {
    tcp::HeaderOut {
        src_port: 40_000,
        dst_port: 80,
        seq: 0x0102_0304,
        ack: 0x0506_0708,
        window: 512,
        urgent: 0,
        flags: tcp::flag::ACK,
        options: tcp::OptionsOut {
            timestamps: Some(tcp::Timestamps { value: 1, echo: 2 }),
            ..tcp::OptionsOut::default()
        },
    }
}

fn ethernet_header(ethertype: EtherType) -> ethernet::Header {
    let (dst, src) = (MacAddr([2, 0, 0, 0, 0, 2]), MacAddr([2, 0, 0, 0, 0, 1]));
    ethernet::Header { dst, src, ethertype, vlan: Tags::NONE }
}

#[inline(always)]
fn emit_v4(tcp: &tcp::HeaderOut<'_>, payload: &[u8], frame: &mut [u8]) -> Option<usize> {
    let header = ipv4::HeaderOut {
        src: A4,
        dst: B4,
        protocol: Protocol::TCP,
        ttl: 64,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    let at = ethernet_header(EtherType::IPV4).emit(frame).ok()?;
    let (ip, segment) = frame[at..].split_at_mut_checked(ipv4::HEADER_LEN)?;
    let len = tcp.emit(PseudoHeader::v4(A4, B4), (payload, &[]), segment).ok()?;
    Some(at + header.emit(len, ip).ok()? + len)
}

#[inline(always)]
fn emit_v6(tcp: &tcp::HeaderOut<'_>, payload: &[u8], frame: &mut [u8]) -> Option<usize> {
    let header = ipv6::HeaderOut {
        src: A6,
        dst: B6,
        protocol: Protocol::TCP,
        hop_limit: 64,
        traffic_class: TrafficClass(0),
        flow_label: 0,
    };
    let at = ethernet_header(EtherType::IPV6).emit(frame).ok()?;
    let (ip, segment) = frame[at..].split_at_mut_checked(ipv6::HEADER_LEN)?;
    let len = tcp.emit(PseudoHeader::v6(A6, B6), (payload, &[]), segment).ok()?;
    Some(at + header.emit(len, ip).ok()? + len)
}

/// Parses a frame as the rx path does, up to the flow table.
#[inline(always)]
fn parse_frame(frame: &[u8]) -> Option<(tcp::Header<'_>, &[u8])> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    let (pseudo, segment) = match header.ethertype {
        EtherType::IPV4 => {
            let (ip, segment) = ipv4::parse(packet).ok()?;
            let bad = ip.fragment.is_fragment() || source_kind_v4(ip.src) != SourceKind::Host;
            if bad || ip.protocol != Protocol::TCP {
                return None;
            }
            (PseudoHeader::v4(ip.src, ip.dst), segment)
        }
        EtherType::IPV6 => {
            let (ip, segment) = ipv6::parse(packet).ok()?;
            let bad = ip.fragment.is_some() || source_kind_v6(ip.src) != SourceKind::Host;
            if bad || ip.protocol != Protocol::TCP {
                return None;
            }
            (PseudoHeader::v6(ip.src, ip.dst), segment)
        }
        _ => return None,
    };
    match tcp::verify(pseudo, segment) {
        Verdict::Good => tcp::parse(segment).ok(),
        Verdict::PseudoHeaderOnly | Verdict::Bad => None,
    }
}

/// Uses all fields, so that the compiler keeps the parsing; does not store the header, which would
/// measure the store.
#[inline(always)]
fn digest(parsed: Option<(tcp::Header<'_>, &[u8])>) -> Option<u64> {
    let (header, data) = parsed?;
    let ports = u64::from(header.src_port) << 16 | u64::from(header.dst_port);
    let numbers = u64::from(header.seq) ^ u64::from(header.ack) << 32;
    let small = u64::from(header.window) + u64::from(header.flags) + u64::from(header.urgent);
    let options = header.options;
    let times = options.timestamps.map_or(0, |t| u64::from(t.value) << 32 | u64::from(t.echo));
    let syn = options.mss.map_or(0, u64::from) + options.window_shift.map_or(0, u64::from);
    let sack = u64::from(options.has_sack()) + u64::from(options.sack_permitted);
    Some(ports ^ numbers ^ small ^ times ^ syn ^ sack ^ data.len() as u64)
}

fn sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for len in [20, 40, 64, 1460, 1500, 9000] {
        let bytes = vec![0x5a; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("sum/{len}"), |b| {
            b.iter(|| checksum::sum(black_box(&bytes)).checksum());
        });
        let mut target = vec![0; len];
        group.bench_function(format!("copy_and_sum/{len}"), |b| {
            b.iter(|| checksum::copy_and_sum(black_box(&bytes), black_box(&mut target)).checksum());
        });
    }
    group.finish();
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    let mut frame = vec![0; 2048];
    for payload_len in [0, 64, 1448] {
        let payload = vec![0x5a; payload_len];
        let len = emit_v4(&tcp_header(), &payload, &mut frame).expect("room");
        let v4 = frame[..len].to_vec();
        group.bench_function(format!("tcp4/{len}"), |b| {
            b.iter(|| digest(parse_frame(black_box(&v4))));
        });
        let len = emit_v6(&tcp_header(), &payload, &mut frame).expect("room");
        let v6 = frame[..len].to_vec();
        group.bench_function(format!("tcp6/{len}"), |b| {
            b.iter(|| digest(parse_frame(black_box(&v6))));
        });
    }
    let mut syn = tcp_header();
    syn.flags = tcp::flag::SYN;
    syn.options.mss = Some(1460);
    syn.options.window_shift = Some(7);
    syn.options.sack_permitted = true;
    let len = emit_v4(&syn, &[], &mut frame).expect("room");
    let syn = frame[..len].to_vec();
    group.bench_function(format!("tcp4_syn/{len}"), |b| {
        b.iter(|| digest(parse_frame(black_box(&syn))));
    });
    let mut sack = tcp_header();
    sack.options.sack = &[(1, 2), (3, 4), (5, 6)];
    let len = emit_v4(&sack, &[], &mut frame).expect("room");
    let sack = frame[..len].to_vec();
    group.bench_function(format!("tcp4_sack/{len}"), |b| {
        b.iter(|| digest(parse_frame(black_box(&sack))));
    });
    group.finish();
}

fn emit(c: &mut Criterion) {
    let mut group = c.benchmark_group("emit");
    let mut frame = vec![0; 2048];
    for payload_len in [0, 64, 1448] {
        let payload = vec![0x5a; payload_len];
        let header = tcp_header();
        group.bench_function(format!("tcp4/{}", 66 + payload_len), |b| {
            b.iter(|| emit_v4(black_box(&header), black_box(&payload), black_box(&mut frame)));
        });
        group.bench_function(format!("tcp6/{}", 86 + payload_len), |b| {
            b.iter(|| emit_v6(black_box(&header), black_box(&payload), black_box(&mut frame)));
        });
    }
    group.finish();
}

criterion_group!(benches, sums, parse, emit);
criterion_main!(benches);
