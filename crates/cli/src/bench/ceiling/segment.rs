//! Frames with Ethernet, IPv4 and TCP headers: checksums are verified on receive and computed on
//! transmit.

use std::net::Ipv4Addr;

use linerate::link::Frame;
use linerate::wire::checksum::{PseudoHeader, Verdict};
use linerate::wire::tcp::Timestamps;
use linerate::wire::{EtherType, MacAddr, Protocol, TrafficClass, ethernet, ipv4, tcp, vlan};

use super::endpoint::EndpointConfig;

/// Source and destination addresses of the frames of one endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    src_mac: MacAddr,
    dst_mac: MacAddr,
    src: Ipv4Addr,
    dst: Ipv4Addr,
}

impl Route {
    /// Returns the route from one endpoint to the other.
    pub(super) fn between(from: &EndpointConfig, to: &EndpointConfig) -> Self {
        Self { src_mac: from.mac, dst_mac: to.mac, src: from.address, dst: to.address }
    }

    /// Writes a frame with this TCP header and payload.
    #[inline]
    pub(super) fn write(&self, frame: &mut Frame, header: &tcp::HeaderOut<'_>, payload: &[u8]) {
        let len = self.emit(frame.buffer(), header, payload);
        frame.set_len(len.expect("a chunk holds the headers and a few bytes"));
    }

    #[inline]
    fn emit(&self, bytes: &mut [u8], header: &tcp::HeaderOut<'_>, payload: &[u8]) -> Option<usize> {
        let ethernet = ethernet::Header {
            dst: self.dst_mac,
            src: self.src_mac,
            ethertype: EtherType::IPV4,
            vlan: vlan::Tags::NONE,
        };
        let ip = ipv4::HeaderOut {
            src: self.src,
            dst: self.dst,
            protocol: Protocol::TCP,
            ttl: 64,
            traffic_class: TrafficClass::default(),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        let at_ip = ethernet.emit(bytes).ok()?;
        let segment_len = header.byte_len() + payload.len();
        let at_tcp = at_ip + ip.emit(segment_len, bytes.get_mut(at_ip..)?).ok()?;
        let pseudo = PseudoHeader::v4(self.src, self.dst);
        let len = header.emit(pseudo, (payload, &[]), bytes.get_mut(at_tcp..)?).ok()?;
        Some(at_tcp + len)
    }
}

/// Fields of a received segment that replies depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// Control bits.
    pub flags: u16,
    /// TSval.
    pub timestamp: u32,
}

/// Parses a frame and verifies all its checksums.
#[inline]
pub(super) fn read(frame: &[u8]) -> Option<Segment> {
    let (_, packet) = ethernet::parse(frame).ok()?;
    let (ip, segment) = ipv4::parse(packet).ok()?;
    if tcp::verify(PseudoHeader::v4(ip.src, ip.dst), segment) != Verdict::Good {
        return None;
    }
    let (header, _) = tcp::parse(segment).ok()?;
    Some(Segment {
        src_port: header.src_port,
        dst_port: header.dst_port,
        seq: header.seq,
        ack: header.ack,
        flags: header.flags,
        timestamp: header.options.timestamps.map_or(0, |it| it.value),
    })
}

/// Builds the header of a reply, with the options that a stack would send with these flags.
#[inline]
pub(super) fn header(to: &Segment, seq: u32, ack: u32, flags: u16) -> tcp::HeaderOut<'static> {
    let is_syn = flags & tcp::flag::SYN != 0;
    tcp::HeaderOut {
        src_port: to.dst_port,
        dst_port: to.src_port,
        seq,
        ack,
        window: u16::MAX,
        urgent: 0,
        flags,
        options: tcp::OptionsOut {
            mss: is_syn.then_some(1460),
            window_shift: is_syn.then_some(7),
            sack_permitted: is_syn,
            timestamps: Some(Timestamps { value: 1, echo: to.timestamp }),
            ..tcp::OptionsOut::default()
        },
    }
}
