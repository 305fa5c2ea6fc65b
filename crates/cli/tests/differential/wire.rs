//! The tester's end of the veth: sends and receives raw segments from an address without a stack.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use linerate::link::xsk::{Config, XskLink};
use linerate::link::{Frame, Link};
use linerate::time::Instant as LinkInstant;
use linerate::wire::checksum::PseudoHeader;
use linerate::wire::tcp::HeaderOut;
use linerate::wire::{EtherType, MacAddr, Protocol, TrafficClass, arp, ethernet, ipv4, tcp, vlan};
use linerate::xdp::{Policy, Program, Role, XdpMode};

/// Address of the tester.
pub(crate) const TESTER: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 77);
const TESTER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 77]);

/// A segment from one of the stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
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
    pub timestamp: Option<u32>,
}

/// An AF_XDP socket with its program. Field order detaches the program before the socket closes.
pub(crate) struct Wire {
    _program: Program,
    link: XskLink,
    stack: MacAddr,
    started_at: Instant,
    frames: Vec<Frame>,
}

impl Wire {
    /// Opens `veth0` of this thread's namespace. Both stacks have the MAC `stack`.
    pub(crate) fn open(stack: MacAddr) -> Self {
        let link = XskLink::open(&Config::new("veth0", 0)).expect("opens a socket on veth0");
        let mut program =
            Program::load_and_attach("veth0", XdpMode::Native).expect("attaches the program");
        program
            .set_policy(Policy { role: Role::Exclusive, ..Policy::default() })
            .expect("sets the policy");
        program.claim_address(IpAddr::V4(TESTER)).expect("claims the address");
        program.insert_socket(0, link.fd()).expect("inserts the socket");
        Self { _program: program, link, stack, started_at: Instant::now(), frames: Vec::new() }
    }

    fn now(&self) -> LinkInstant {
        LinkInstant::from_nanos(self.started_at.elapsed().as_nanos() as u64)
    }

    fn transmit(
        &mut self,
        dst: MacAddr,
        ethertype: EtherType,
        emit: impl FnOnce(&mut [u8]) -> usize,
    ) {
        let now = self.now();
        let mut frame = self.link.reserve().expect("a free frame");
        let header = ethernet::Header { dst, src: TESTER_MAC, ethertype, vlan: vlan::Tags::NONE };
        let bytes = frame.buffer();
        let at = header.emit(bytes).expect("frame has room");
        let len = at + emit(&mut bytes[at..]);
        frame.set_len(len);
        self.link.transmit(now, frame);
        self.link.flush(now);
    }

    /// Sends a segment to a stack.
    pub(crate) fn send(&mut self, to: Ipv4Addr, header: &HeaderOut<'_>, payload: &[u8]) {
        let stack = self.stack;
        self.transmit(stack, EtherType::IPV4, |bytes| {
            let pseudo = PseudoHeader::v4(TESTER, to);
            let segment = &mut bytes[ipv4::HEADER_LEN..];
            let len = header.emit(pseudo, (payload, &[]), segment).expect("frame has room");
            let ip = ipv4::HeaderOut {
                src: TESTER,
                dst: to,
                protocol: Protocol::TCP,
                ttl: 64,
                traffic_class: TrafficClass(0),
                ident: 0,
                fragment: ipv4::Fragment::DONT,
            };
            ip.emit(len, bytes).expect("frame has room");
            ipv4::HEADER_LEN + len
        });
    }

    /// Returns the received segments. Answers ARP requests for the tester's address.
    pub(crate) fn receive(&mut self) -> Vec<Reply> {
        let now = self.now();
        let mut frames = std::mem::take(&mut self.frames);
        self.link.receive(now, 64, &mut frames);
        let mut replies = Vec::new();
        for frame in frames.drain(..) {
            if let Some(request) = parse_arp_request(&frame) {
                self.send_arp_reply(&request);
            }
            replies.extend(parse_reply(&frame));
            self.link.release(frame);
        }
        self.frames = frames;
        self.link.flush(now);
        replies
    }

    fn send_arp_reply(&mut self, request: &arp::Packet) {
        let reply = arp::Packet {
            operation: arp::Operation::Reply,
            sender_mac: TESTER_MAC,
            sender_ip: TESTER,
            target_mac: request.sender_mac,
            target_ip: request.sender_ip,
        };
        let to = request.sender_mac;
        self.transmit(to, EtherType::ARP, |bytes| reply.emit(bytes).expect("frame has room"));
    }
}

fn parse_arp_request(frame: &[u8]) -> Option<arp::Packet> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    let packet = (header.ethertype == EtherType::ARP).then(|| arp::parse(packet).ok())??;
    (packet.operation == arp::Operation::Request && packet.target_ip == TESTER).then_some(packet)
}

fn parse_reply(frame: &[u8]) -> Option<Reply> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    if header.ethertype != EtherType::IPV4 {
        return None;
    }
    let (ip, bytes) = ipv4::parse(packet).ok()?;
    let (tcp, payload) = tcp::parse(bytes).ok().filter(|_| ip.protocol == Protocol::TCP)?;
    Some(Reply {
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
        timestamp: tcp.options.timestamps.map(|timestamps| timestamps.value),
    })
}
