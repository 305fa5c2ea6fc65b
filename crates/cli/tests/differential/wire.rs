//! The tester's end of the cable: an address that no stack has, segments out, segments in.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use linerate::link::xsk::{Config, XskLink};
use linerate::link::{Frame, Link};
use linerate::time::Instant as Moment;
use linerate::wire::checksum::PseudoHeader;
use linerate::wire::tcp::HeaderOut;
use linerate::wire::{EtherType, MacAddr, Protocol, TrafficClass, arp, ethernet, ipv4, tcp, vlan};
use linerate::xdp::{Policy, Program, Role, XdpMode};

/// The tester.
pub const TESTER: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 77);
const TESTER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 77]);

/// A segment of one of the stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub from: Ipv4Addr,
    pub port: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u16,
    pub window: u16,
    pub len: u32,
    pub mss: Option<u16>,
    pub scales: bool,
    pub permits_sack: bool,
    pub stamp: Option<u32>,
}

/// The program is dropped, thus detached, before the socket.
pub struct Wire {
    _program: Program,
    link: XskLink,
    stack: MacAddr,
    begun: Instant,
    frames: Vec<Frame>,
}

impl Wire {
    /// On `veth0` of this thread's namespace; both stacks are at `stack`.
    pub fn open(stack: MacAddr) -> Self {
        let link = XskLink::open(&Config::new("veth0", 0)).expect("a socket on veth0");
        let mut program = Program::load_and_attach("veth0", XdpMode::Native).expect("attaches");
        program.set_policy(Policy { role: Role::Exclusive, ..Policy::default() }).expect("policy");
        program.claim_address(IpAddr::V4(TESTER)).expect("claim");
        program.insert_socket(0, link.fd()).expect("socket map");
        Self { _program: program, link, stack, begun: Instant::now(), frames: Vec::new() }
    }

    fn now(&self) -> Moment {
        Moment::from_nanos(self.begun.elapsed().as_nanos() as u64)
    }

    fn put(&mut self, dst: MacAddr, ethertype: EtherType, emit: impl FnOnce(&mut [u8]) -> usize) {
        let now = self.now();
        let mut frame = self.link.reserve().expect("a free frame");
        let header = ethernet::Header { dst, src: TESTER_MAC, ethertype, vlan: vlan::Tags::NONE };
        let bytes = frame.buffer();
        let at = header.emit(bytes).expect("room");
        let len = at + emit(&mut bytes[at..]);
        frame.set_len(len);
        self.link.transmit(now, frame);
        self.link.flush(now);
    }

    /// Sends a segment.
    pub fn send(&mut self, to: Ipv4Addr, header: &HeaderOut<'_>, payload: &[u8]) {
        let stack = self.stack;
        self.put(stack, EtherType::IPV4, |bytes| {
            let pseudo = PseudoHeader::v4(TESTER, to);
            let segment = &mut bytes[ipv4::HEADER_LEN..];
            let len = header.emit(pseudo, (payload, &[]), segment).expect("room");
            let ip = ipv4::HeaderOut {
                src: TESTER,
                dst: to,
                protocol: Protocol::TCP,
                ttl: 64,
                traffic_class: TrafficClass(0),
                ident: 0,
                fragment: ipv4::Fragment::DONT,
            };
            ip.emit(len, bytes).expect("room");
            ipv4::HEADER_LEN + len
        });
    }

    /// What has arrived; questions for the tester's address are answered on the way.
    pub fn receive(&mut self) -> Vec<Heard> {
        let now = self.now();
        let mut frames = std::mem::take(&mut self.frames);
        self.link.receive(now, 64, &mut frames);
        let mut heard = Vec::new();
        for frame in frames.drain(..) {
            if let Some(question) = question(&frame) {
                self.answer(&question);
            }
            heard.extend(segment(&frame));
            self.link.release(frame);
        }
        self.frames = frames;
        self.link.flush(now);
        heard
    }

    fn answer(&mut self, question: &arp::Packet) {
        let answer = arp::Packet {
            operation: arp::Operation::Reply,
            sender_mac: TESTER_MAC,
            sender_ip: TESTER,
            target_mac: question.sender_mac,
            target_ip: question.sender_ip,
        };
        let to = question.sender_mac;
        self.put(to, EtherType::ARP, |bytes| answer.emit(bytes).expect("room"));
    }
}

fn question(frame: &[u8]) -> Option<arp::Packet> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    let packet = (header.ethertype == EtherType::ARP).then(|| arp::parse(packet).ok())??;
    (packet.operation == arp::Operation::Request && packet.target_ip == TESTER).then_some(packet)
}

fn segment(frame: &[u8]) -> Option<Heard> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    if header.ethertype != EtherType::IPV4 {
        return None;
    }
    let (ip, bytes) = ipv4::parse(packet).ok()?;
    let (tcp, payload) = tcp::parse(bytes).ok().filter(|_| ip.protocol == Protocol::TCP)?;
    Some(Heard {
        from: ip.src,
        port: tcp.dst_port,
        seq: tcp.seq,
        ack: tcp.ack,
        flags: tcp.flags,
        window: tcp.window,
        len: payload.len() as u32,
        mss: tcp.options.mss,
        scales: tcp.options.window_shift.is_some(),
        permits_sack: tcp.options.sack_permitted,
        stamp: tcp.options.timestamps.map(|stamps| stamps.value),
    })
}
