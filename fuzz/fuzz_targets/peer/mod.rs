//! The other end of `shard_peer`: tracks the state of each flow and sends segments near it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use linerate::wire::checksum::{PseudoHeader, Verdict};
use linerate::wire::icmp::v4;
use linerate::wire::tcp::{
    AccEcn, FastOpen, FastOpenForm, HeaderOut, OptionsOut, Timestamps, flag,
};
use linerate::wire::{EtherType, MacAddr, Protocol, TrafficClass, arp, ethernet, ipv4, tcp, vlan};

/// A host's MAC and IPv4 addresses.
pub struct HostAddress {
    pub mac: [u8; 6],
    pub ip: Ipv4Addr,
}

/// The shard's addresses.
pub const OURS: HostAddress =
    HostAddress { mac: [2, 0, 0, 0, 0, 1], ip: Ipv4Addr::new(192, 0, 2, 1) };
/// The peer's IPv4 address.
pub const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const THEIR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
/// The port of the shard's listener.
pub const SERVICE: u16 = 7;
/// The first of the peer's four ports.
pub const PORT: u16 = 5000;

/// The fuzzer's input, read from its front; zeroes past its end.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }
    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
    pub fn long(&mut self) -> u32 {
        u32::from(self.word()) << 16 | u32::from(self.word())
    }
    /// Returns a number that is mostly near `base`, since decisions depend on the window's edges.
    fn near(&mut self, base: u32) -> u32 {
        match self.byte() {
            0..=127 => base,
            128..=159 => base.wrapping_add(1),
            160..=179 => base.wrapping_sub(1),
            180..=229 => base.wrapping_add(i32::from(self.word() as i16) as u32),
            230..=249 => base.wrapping_add(1000 * u32::from(self.byte())),
            _ => self.long(),
        }
    }
}

/// The state of a flow, from the shard's last segment.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// The shard's SND.NXT.
    snd_nxt: u32,
    /// The shard's RCV.NXT.
    rcv_nxt: u32,
    /// The first sequence number that the shard may still retransmit.
    first: u32,
    /// The shard's last timestamp.
    stamp: u32,
}

/// The peer, with its flows by the shard's port and its own.
#[derive(Default)]
pub struct Peer {
    flows: HashMap<(u16, u16), Flow>,
    /// The flows in order of appearance.
    known: Vec<(u16, u16)>,
    cookie: Vec<u8>,
}

impl Peer {
    /// Builds an ARP request for the shard's address, which teaches the shard the peer's address.
    pub fn arp_request(&self) -> Vec<u8> {
        self.arp(arp::Operation::Request)
    }

    fn arp(&self, operation: arp::Operation) -> Vec<u8> {
        let packet = arp::Packet {
            operation,
            sender_mac: THEIR_MAC,
            sender_ip: THEIRS,
            target_mac: MacAddr(OURS.mac),
            target_ip: OURS.ip,
        };
        framed(EtherType::ARP, |bytes| packet.emit(bytes).expect("room"))
    }

    /// Asserts that a frame of the shard is well formed. Returns the reply to an ARP request.
    pub fn check(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let (header, packet) = ethernet::parse(frame).expect("a frame");
        if header.ethertype == EtherType::ARP {
            let arp = arp::parse(packet).expect("a request or a reply");
            let for_peer = arp.operation == arp::Operation::Request && arp.target_ip == THEIRS;
            return for_peer.then(|| self.arp(arp::Operation::Reply));
        }
        assert_eq!(header.ethertype, EtherType::IPV4);
        let (ip, bytes) = ipv4::parse(packet).expect("a packet");
        assert_eq!((ip.src, ip.dst), (OURS.ip, THEIRS));
        if ip.protocol != Protocol::TCP {
            v4::parse(bytes).expect("a message");
            return None;
        }
        let sum = tcp::verify(PseudoHeader::v4(ip.src, ip.dst), bytes);
        assert_eq!(sum, Verdict::Good);
        let (tcp, payload) = tcp::parse(bytes).expect("a segment");
        self.record(&tcp, payload.len());
        None
    }

    fn record(&mut self, tcp: &tcp::Header<'_>, len: usize) {
        let key = (tcp.src_port, tcp.dst_port);
        let known = &mut self.known;
        let flow = self.flows.entry(key).or_insert_with(|| {
            known.push(key);
            Flow { first: tcp.seq, ..Flow::default() }
        });
        if tcp.flags & flag::RST != 0 {
            return;
        }
        let controls = (tcp.flags & flag::SYN != 0) as u32 + (tcp.flags & flag::FIN != 0) as u32;
        flow.snd_nxt = tcp.seq.wrapping_add(len as u32 + controls);
        if tcp.flags & flag::ACK != 0 {
            flow.rcv_nxt = tcp.ack;
        }
        if let Some(stamp) = tcp.options.timestamps {
            flow.stamp = stamp.value;
        }
        if let Some(option) = tcp.options.fast_open() {
            self.cookie = option.cookie.to_vec();
        }
    }

    /// Draws one of the known flows, or a new one to the listener.
    fn draw_flow(&self, bytes: &mut Bytes<'_>) -> ((u16, u16), Flow) {
        let at = usize::from(bytes.byte());
        let new = (SERVICE, PORT + (at as u16 & 3));
        let key = self.known.get(at >> 2).copied().unwrap_or(new);
        (key, self.flows.get(&key).copied().unwrap_or_default())
    }

    /// Builds a segment near the state of a flow.
    pub fn segment(&mut self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let ((ours, theirs), flow) = self.draw_flow(bytes);
        let common =
            [flag::ACK, flag::SYN, flag::ACK | flag::FIN, flag::RST, flag::SYN | flag::ACK];
        let flags = match bytes.byte() {
            byte @ 0..=4 => common[usize::from(byte)],
            5..=160 => flag::ACK,
            161..=200 => flag::SYN,
            201..=220 => flag::ACK | flag::PSH,
            221..=235 => flag::ACK | flag::FIN,
            _ => bytes.word() & 0x1ff,
        };
        let window = if bytes.flag() { 60_000 } else { bytes.word() };
        let blocks: Vec<(u32, u32)> = (0..bytes.byte() % 5)
            .map(|_| {
                let start = bytes.near(flow.first);
                (start, start.wrapping_add(u32::from(bytes.word())))
            })
            .collect();
        let options = OptionsOut {
            mss: bytes.flag().then(|| bytes.word()),
            window_shift: bytes.flag().then(|| bytes.byte() % 16),
            sack_permitted: bytes.flag(),
            timestamps: bytes
                .flag()
                .then(|| Timestamps { value: bytes.near(1), echo: bytes.near(flow.stamp) }),
            sack: if bytes.flag() { &blocks } else { &[] },
            user_timeout: bytes.flag().then(|| bytes.word()),
            fast_open: match bytes.byte() % 4 {
                0 => Some(FastOpen { form: FastOpenForm::default(), cookie: &self.cookie }),
                1 => Some(FastOpen::default()),
                _ => None,
            },
            accecn: bytes.flag().then(|| AccEcn {
                e0b: Some(bytes.near(1)),
                ceb: Some(bytes.near(0)),
                e1b: Some(bytes.near(1)),
            }),
        };
        let header = HeaderOut {
            src_port: theirs,
            dst_port: ours,
            seq: bytes.near(flow.rcv_nxt),
            ack: bytes.near(flow.snd_nxt),
            flags,
            window,
            urgent: bytes.word(),
            options,
        };
        let text = vec![bytes.byte(); usize::from(bytes.byte()) * 5];
        let class = TrafficClass(bytes.byte() & 3);
        packet(Protocol::TCP, class, |out| {
            header.emit(PseudoHeader::v4(THEIRS, OURS.ip), (&text, &[]), out).expect("room")
        })
    }

    /// Builds an ICMP error about a segment of a flow.
    pub fn icmp(&mut self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let ((ours, theirs), flow) = self.draw_flow(bytes);
        let mut quote = [0; 28];
        let ip = ipv4::HeaderOut {
            src: OURS.ip,
            dst: THEIRS,
            protocol: Protocol::TCP,
            ttl: 1,
            traffic_class: TrafficClass(0),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        ip.emit(usize::from(bytes.word() % 1480), &mut quote).expect("room");
        quote[20..22].copy_from_slice(&ours.to_be_bytes());
        quote[22..24].copy_from_slice(&theirs.to_be_bytes());
        quote[24..].copy_from_slice(&bytes.near(flow.first).to_be_bytes());
        let reason = match bytes.byte() % 4 {
            0 => v4::Unreachable::TooBig { mtu: bytes.word() },
            1 => v4::Unreachable::Port,
            2 => v4::Unreachable::Protocol,
            _ => v4::Unreachable::Host,
        };
        let message = v4::Message::Unreachable { reason, quote: &quote };
        packet(Protocol::ICMP, TrafficClass(0), |out| message.emit(out).expect("room"))
    }

    /// Builds an Ethernet frame with arbitrary bytes in place of the IPv4 packet.
    pub fn arbitrary(&mut self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let len = usize::from(bytes.byte()).min(bytes.0.len());
        let (packet, rest) = bytes.0.split_at(len);
        bytes.0 = rest;
        framed(EtherType::IPV4, |out| {
            out[..len].copy_from_slice(packet);
            len
        })
    }
}

fn framed(ethertype: EtherType, emit: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    let vlan = vlan::Tags::NONE;
    let header = ethernet::Header { dst: MacAddr(OURS.mac), src: THEIR_MAC, ethertype, vlan };
    let at = header.emit(&mut bytes).expect("room");
    let len = at + emit(&mut bytes[at..]);
    bytes.truncate(len);
    bytes
}

fn packet(
    protocol: Protocol,
    class: TrafficClass,
    emit: impl FnOnce(&mut [u8]) -> usize,
) -> Vec<u8> {
    framed(EtherType::IPV4, |bytes| {
        let len = emit(&mut bytes[ipv4::HEADER_LEN..]);
        let header = ipv4::HeaderOut {
            src: THEIRS,
            dst: OURS.ip,
            protocol,
            ttl: 64,
            traffic_class: class,
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        header.emit(len, bytes).expect("room");
        ipv4::HEADER_LEN + len
    })
}
