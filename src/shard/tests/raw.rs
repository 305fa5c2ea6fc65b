//! A shard and a peer that sends any segment it likes and looks at every answer: sequence numbers absolute,
//! no stack at the other end.

use core::net::{IpAddr, Ipv4Addr};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::stage::{PORT, small};
use crate::link::memory::{self, MemoryLink};
use crate::link::{Frame, Link};
use crate::shard::{
    CloseReason, Config, ConnId, ConnectOptions, Io, ListenerConfig, ListenerId, Service, Shard,
    SingleWorker, SoftError, TurnEnv,
};
use crate::time::{Duration, Instant};
use crate::wire::checksum::PseudoHeader;
use crate::wire::tcp::{HeaderOut, OptionsOut, flag};
use crate::wire::{EtherType, MacAddr, Protocol, TrafficClass, arp, ethernet, ipv4, tcp, vlan};

pub const US: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const PEER_PORT: u16 = 5000;
const OUR_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// The peer's initial sequence number.
pub const IRS: u32 = 1_000;

/// What the program was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Accepted,
    Connected,
    Readable,
    PeerClosed,
    SoftError(SoftError),
    Closed(CloseReason),
}

type Order = Box<dyn FnOnce(&mut dyn Io)>;

/// A program that notes what it is told and does what the test orders.
#[derive(Default)]
struct Program {
    told: Rc<RefCell<Vec<Told>>>,
    orders: Rc<RefCell<VecDeque<Order>>>,
    last: Rc<RefCell<Option<ConnId>>>,
}

impl Program {
    fn note(&self, told: Told) {
        self.told.borrow_mut().push(told);
    }
}

impl Service for Program {
    fn on_start(&mut self, io: &mut dyn Io) {
        io.set_alarm(io.now());
    }
    fn on_accept(&mut self, _: &mut dyn Io, conn: ConnId, _: ListenerId) {
        *self.last.borrow_mut() = Some(conn);
        self.note(Told::Accepted);
    }
    fn on_connected(&mut self, _: &mut dyn Io, _: ConnId, _: Duration) {
        self.note(Told::Connected);
    }
    fn on_readable(&mut self, _: &mut dyn Io, _: ConnId) {
        self.note(Told::Readable);
    }
    fn on_peer_closed(&mut self, _: &mut dyn Io, _: ConnId) {
        self.note(Told::PeerClosed);
    }
    fn on_soft_error(&mut self, _: &mut dyn Io, _: ConnId, error: SoftError) {
        self.note(Told::SoftError(error));
    }
    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        self.note(Told::Closed(ending));
    }
    fn on_alarm(&mut self, io: &mut dyn Io) {
        while let Some(order) = self.orders.borrow_mut().pop_front() {
            order(io);
        }
        io.set_alarm(io.now());
    }
}

/// A segment that the shard sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub from: Ipv4Addr,
    pub port: u16,
    pub to_port: u16,
    pub ttl: u8,
    pub class: u8,
    pub seq: u32,
    pub ack: u32,
    pub flags: u16,
    pub window: u16,
    pub urgent: u16,
    pub len: usize,
    pub mss: Option<u16>,
    pub stamp: Option<(u32, u32)>,
    /// The Fast Open option: a cookie, or nothing, which asks for one.
    pub fast_open: Option<Vec<u8>>,
}

/// The shard and its peer.
pub struct Raw {
    pub shard: Shard,
    near: MemoryLink,
    far: MemoryLink,
    program: Program,
    pub now: Instant,
    got: Vec<Got>,
    /// How often the shard has asked for the peer's address.
    pub questions: usize,
}

impl Raw {
    /// A listener on [`PORT`], and a peer whose address is known.
    pub fn new(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(OUR_MAC, vec![(IpAddr::V4(US), 24)], [7; 32]);
        config.limits = small();
        adjust(&mut config);
        let mut shard = Shard::new(config);
        shard.listen(ListenerConfig::on_port(PORT)).expect("a free port");
        let (near, far) = memory::pair(memory::Config::default());
        let now = Instant::from_millis(1_000_000);
        let (program, got) = (Program::default(), Vec::new());
        let mut raw = Self { shard, near, far, program, now, got, questions: 0 };
        let Self { shard, near, program, .. } = &mut raw;
        shard
            .start(now, &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker });
        raw.introduces_itself();
        raw
    }

    fn introduces_itself(&mut self) {
        let question = arp::Packet {
            operation: arp::Operation::Request,
            sender_mac: PEER_MAC,
            sender_ip: PEER,
            target_mac: MacAddr::ZERO,
            target_ip: US,
        };
        self.puts(EtherType::ARP, |bytes| question.emit(bytes).expect("room"));
        self.turns();
    }

    /// Puts a frame on the cable.
    pub fn puts(&mut self, ethertype: EtherType, emit: impl FnOnce(&mut [u8]) -> usize) {
        let mut bytes = vec![0; 1600];
        let vlan = vlan::Tags::NONE;
        let header = ethernet::Header { dst: OUR_MAC, src: PEER_MAC, ethertype, vlan };
        let at = header.emit(&mut bytes).expect("room");
        let len = at + emit(&mut bytes[at..]);
        let mut frame = self.far.reserve().expect("a free frame");
        frame.fill(&bytes[..len]);
        self.far.transmit(self.now, frame);
        self.far.flush(self.now);
    }

    /// Puts an IPv4 packet on the cable.
    pub fn puts_ip(&mut self, protocol: Protocol, emit: impl FnOnce(&mut [u8]) -> usize) {
        self.puts_between(PEER, US, protocol, emit);
    }

    /// Frames arrive a batch a turn, ten in a microsecond, so that a million are over before a timeout: `write`
    /// fills each and gives its length.
    pub fn floods(&mut self, frames: usize, mut write: impl FnMut(&mut [u8]) -> usize) {
        const BATCH: usize = 64;
        for at in (0..frames).step_by(BATCH) {
            for _ in 0..BATCH.min(frames - at) {
                let mut frame = self.far.reserve().expect("a free frame");
                let len = write(frame.buffer());
                frame.set_len(len);
                self.far.transmit(self.now, frame);
            }
            self.now += Duration::from_nanos(100 * BATCH as u64);
            self.turn();
        }
        self.turns();
    }

    fn puts_between(
        &mut self,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        protocol: Protocol,
        emit: impl FnOnce(&mut [u8]) -> usize,
    ) {
        self.puts(EtherType::IPV4, |bytes| {
            let len = emit(&mut bytes[ipv4::HEADER_LEN..]);
            let header = ipv4::HeaderOut {
                src,
                dst,
                protocol,
                ttl: 64,
                traffic_class: TrafficClass(0),
                ident: 0,
                fragment: ipv4::Fragment::DONT,
            };
            header.emit(len, bytes).expect("room");
            ipv4::HEADER_LEN + len
        });
    }

    /// A segment of the peer arrives; the shard has its turns.
    pub fn hears(&mut self, header: &HeaderOut<'_>, payload: &[u8]) {
        let pseudo = PseudoHeader::v4(PEER, US);
        self.puts_ip(Protocol::TCP, |bytes| {
            header.emit(pseudo, (payload, &[]), bytes).expect("room")
        });
        self.turns();
    }

    /// The same from and to any address.
    pub fn hears_between(&mut self, src: Ipv4Addr, dst: Ipv4Addr, header: &HeaderOut<'_>) {
        let pseudo = PseudoHeader::v4(src, dst);
        self.puts_between(src, dst, Protocol::TCP, |bytes| {
            header.emit(pseudo, (&[], &[]), bytes).expect("room")
        });
        self.turns();
    }

    /// Turns until the shard is quiet.
    pub fn turns(&mut self) {
        for _ in 0..8 {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let Self { shard, near, far, program, now, .. } = self;
        shard
            .turn(*now, &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker });
        far.flush(*now);
        self.collect();
    }

    fn collect(&mut self) {
        let mut frames: Vec<Frame> = Vec::new();
        self.far.receive(self.now, usize::MAX, &mut frames);
        for frame in frames {
            self.got.extend(segment(&frame));
            let asked = is_arp_request(&frame);
            self.far.release(frame);
            if asked {
                self.questions += 1;
                self.answers_for_itself();
            }
        }
    }

    fn answers_for_itself(&mut self) {
        let answer = arp::Packet {
            operation: arp::Operation::Reply,
            sender_mac: PEER_MAC,
            sender_ip: PEER,
            target_mac: OUR_MAC,
            target_ip: US,
        };
        self.puts(EtherType::ARP, |bytes| answer.emit(bytes).expect("room"));
    }

    /// Time passes, in steps that no timer is missed by much.
    pub fn after_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(10) {
            self.now += Duration::from_millis(10);
            self.turns();
        }
    }

    /// What the shard sent since the last look.
    pub fn got(&mut self) -> Vec<Got> {
        core::mem::take(&mut self.got)
    }

    /// What the program was told since the last look.
    pub fn told(&mut self) -> Vec<Told> {
        core::mem::take(&mut self.program.told.borrow_mut())
    }

    /// Has the program do something.
    pub fn orders(&mut self, order: impl FnOnce(&mut dyn Io) + 'static) {
        self.program.orders.borrow_mut().push_back(Box::new(order));
        self.turns();
    }

    /// The connection accepted or opened last.
    pub fn conn(&self) -> ConnId {
        self.program.last.borrow().expect("there was one")
    }

    /// The program opens a connection to the peer.
    pub fn opens(&mut self) -> Got {
        let last = Rc::clone(&self.program.last);
        self.orders(move |io| {
            let remote = (PEER, PEER_PORT).into();
            let conn = io.connect(&ConnectOptions { remote, local: None, user: 0 });
            *last.borrow_mut() = conn.ok();
        });
        self.got().remove(0)
    }

    /// A passive open up to ESTABLISHED. Gives our initial sequence number.
    pub fn accepts(&mut self) -> u32 {
        self.hears(&syn(), &[]);
        let answer = self.got().remove(0);
        self.hears(&ack(IRS + 1, answer.seq + 1), &[]);
        assert_eq!(self.told(), [Told::Accepted]);
        assert!(self.got().is_empty());
        answer.seq
    }
}

fn is_arp_request(frame: &[u8]) -> bool {
    ethernet::parse(frame).is_ok_and(|(header, packet)| {
        header.ethertype == EtherType::ARP
            && arp::parse(packet).is_ok_and(|arp| arp.target_ip == PEER)
    })
}

/// The TCP segment of a frame, if it is one.
fn segment(frame: &[u8]) -> Option<Got> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    if header.ethertype != EtherType::IPV4 {
        return None;
    }
    let (ip, bytes) = ipv4::parse(packet).ok()?;
    let (tcp, payload) = tcp::parse(bytes).ok().filter(|_| ip.protocol == Protocol::TCP)?;
    Some(Got {
        from: ip.src,
        port: tcp.src_port,
        to_port: tcp.dst_port,
        ttl: ip.ttl,
        class: packet[1],
        seq: tcp.seq,
        ack: tcp.ack,
        flags: tcp.flags,
        window: tcp.window,
        urgent: tcp.urgent,
        len: payload.len(),
        mss: tcp.options.mss,
        stamp: tcp.options.timestamps.map(|ts| (ts.value, ts.echo)),
        fast_open: tcp.options.fast_open().map(|option| option.cookie.to_vec()),
    })
}

/// A bare segment of the peer.
pub fn segment_of(flags: u16, seq: u32, ack: u32) -> HeaderOut<'static> {
    HeaderOut {
        src_port: PEER_PORT,
        dst_port: PORT,
        seq,
        ack,
        flags,
        window: 60_000,
        ..HeaderOut::default()
    }
}

/// The peer's SYN, with no option but an MSS.
pub fn syn() -> HeaderOut<'static> {
    let options = OptionsOut { mss: Some(1000), ..OptionsOut::default() };
    HeaderOut { options, ..segment_of(flag::SYN, IRS, 0) }
}

pub fn ack(seq: u32, ack: u32) -> HeaderOut<'static> {
    segment_of(flag::ACK, seq, ack)
}

/// Bytes before the segment or message in a frame to us.
pub const FRAME_HEADERS: usize = 14 + ipv4::HEADER_LEN;

/// Puts the headers of a packet from `src` to us before the `len` bytes that are written already. Gives the
/// length of the frame.
pub fn frame_to_us(bytes: &mut [u8], src: Ipv4Addr, protocol: Protocol, len: usize) -> usize {
    let vlan = vlan::Tags::NONE;
    let header = ethernet::Header { dst: OUR_MAC, src: PEER_MAC, ethertype: EtherType::IPV4, vlan };
    let at = header.emit(bytes).expect("room");
    let header = ipv4::HeaderOut {
        src,
        dst: US,
        protocol,
        ttl: 64,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    header.emit(len, &mut bytes[at..]).expect("room");
    FRAME_HEADERS + len
}

/// The beginning of a packet of ours between these ports with `text` bytes of TCP, as an error of a router quotes it: its IP
/// header, and eight bytes of what follows.
pub fn quote_of_ours((local, remote): (u16, u16), seq: u32, text: usize) -> [u8; 28] {
    let ip = ipv4::HeaderOut {
        src: US,
        dst: PEER,
        protocol: Protocol::TCP,
        ttl: 64,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    let mut quote = [0; 28];
    ip.emit(text, &mut quote).expect("room");
    quote[20..22].copy_from_slice(&local.to_be_bytes());
    quote[22..24].copy_from_slice(&remote.to_be_bytes());
    quote[24..].copy_from_slice(&seq.to_be_bytes());
    quote
}
