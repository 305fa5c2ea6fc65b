//! A shard against a scripted peer: the test builds every segment of the peer and inspects every
//! reply. Sequence numbers are absolute, and there is no stack at the other end.

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

pub(super) const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(super) const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub(super) const PEER_PORT: u16 = 5000;
const LOCAL_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(super) const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

/// The peer's initial sequence number.
pub(super) const IRS: u32 = 1_000;

/// A callback that the service received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callback {
    Accepted,
    Connected,
    Readable,
    PeerClosed,
    SoftError(SoftError),
    Closed(CloseReason),
    /// Recorded after [`Raw::record_all`], as are the following.
    Writable,
    Woken,
    Draining(Instant),
    Alarm,
    TurnEnd,
}

type Call = Box<dyn FnOnce(&mut dyn Io)>;

/// A service that records its callbacks and runs the calls that the test queues.
#[derive(Default)]
struct Program {
    callbacks: Rc<RefCell<Vec<Callback>>>,
    calls: Rc<RefCell<VecDeque<Call>>>,
    /// Calls for the end of the next turn.
    at_turn_end: VecDeque<Call>,
    last: Rc<RefCell<Option<ConnId>>>,
    records_all: bool,
}

impl Program {
    fn record(&self, callback: Callback) {
        self.callbacks.borrow_mut().push(callback);
    }

    fn record_rare(&self, callback: Callback) {
        if self.records_all {
            self.record(callback);
        }
    }
}

impl Service for Program {
    fn on_start(&mut self, io: &mut dyn Io) {
        io.set_alarm(io.now());
    }
    fn on_accept(&mut self, _: &mut dyn Io, conn: ConnId, _: ListenerId) {
        *self.last.borrow_mut() = Some(conn);
        self.record(Callback::Accepted);
    }
    fn on_connected(&mut self, _: &mut dyn Io, _: ConnId, _: Duration) {
        self.record(Callback::Connected);
    }
    fn on_readable(&mut self, _: &mut dyn Io, _: ConnId) {
        self.record(Callback::Readable);
    }
    fn on_peer_closed(&mut self, _: &mut dyn Io, _: ConnId) {
        self.record(Callback::PeerClosed);
    }
    fn on_soft_error(&mut self, _: &mut dyn Io, _: ConnId, error: SoftError) {
        self.record(Callback::SoftError(error));
    }
    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        self.record(Callback::Closed(ending));
    }
    fn on_writable(&mut self, _: &mut dyn Io, _: ConnId) {
        self.record_rare(Callback::Writable);
    }
    fn on_wake(&mut self, _: &mut dyn Io) {
        self.record_rare(Callback::Woken);
    }
    fn on_drain(&mut self, _: &mut dyn Io, deadline: Instant) {
        self.record_rare(Callback::Draining(deadline));
    }
    fn on_turn_end(&mut self, io: &mut dyn Io) {
        self.record_rare(Callback::TurnEnd);
        while let Some(call) = self.at_turn_end.pop_front() {
            call(io);
        }
    }
    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.record_rare(Callback::Alarm);
        while let Some(call) = self.calls.borrow_mut().pop_front() {
            call(io);
        }
        io.set_alarm(io.now());
    }
}

/// A segment that the shard sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentSegment {
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
    pub shift: Option<u8>,
    pub stamp: Option<(u32, u32)>,
    /// The Fast Open option: a cookie, or empty to request one.
    pub fast_open: Option<Vec<u8>>,
}

/// The shard and its peer.
pub(super) struct Raw {
    pub shard: Shard,
    near: MemoryLink,
    far: MemoryLink,
    program: Program,
    pub now: Instant,
    sent: Vec<SentSegment>,
    /// Number of ARP requests from the shard for the peer's address.
    pub arp_requests: usize,
}

impl Raw {
    /// Creates a shard with a listener on [`PORT`] that has resolved the peer's address.
    pub(super) fn new(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(LOCAL_MAC, vec![(IpAddr::V4(LOCAL), 24)], [7; 32]);
        config.limits = small();
        adjust(&mut config);
        let mut shard = Shard::new(config);
        shard.listen(ListenerConfig::on_port(PORT)).expect("a free port");
        let (near, far) = memory::pair(memory::Config::default());
        let now = Instant::from_millis(1_000_000);
        let (program, sent) = (Program::default(), Vec::new());
        let mut raw = Self { shard, near, far, program, now, sent, arp_requests: 0 };
        let Self { shard, near, program, .. } = &mut raw;
        shard
            .start(now, &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker });
        raw.send_arp_request();
        raw
    }

    fn send_arp_request(&mut self) {
        let request = arp::Packet {
            operation: arp::Operation::Request,
            sender_mac: PEER_MAC,
            sender_ip: PEER,
            target_mac: MacAddr::ZERO,
            target_ip: LOCAL,
        };
        self.inject(EtherType::ARP, |bytes| request.emit(bytes).expect("room"));
        self.run_turns();
    }

    /// Transmits a frame from the peer, without a turn of the shard.
    pub(super) fn inject(&mut self, ethertype: EtherType, emit: impl FnOnce(&mut [u8]) -> usize) {
        let mut bytes = vec![0; 1600];
        let vlan = vlan::Tags::NONE;
        let header = ethernet::Header { dst: LOCAL_MAC, src: PEER_MAC, ethertype, vlan };
        let at = header.emit(&mut bytes).expect("room");
        let len = at + emit(&mut bytes[at..]);
        let mut frame = self.far.reserve().expect("a free frame");
        frame.fill(&bytes[..len]);
        self.far.transmit(self.now, frame);
        self.far.flush(self.now);
    }

    /// Transmits an IPv4 packet from the peer, without a turn of the shard.
    pub(super) fn inject_ip(&mut self, protocol: Protocol, emit: impl FnOnce(&mut [u8]) -> usize) {
        self.inject_between(PEER, LOCAL, protocol, emit);
    }

    /// Transmits `frames` frames, one batch per turn and ten frames per microsecond, so that a
    /// million pass before any timeout. `write` fills each frame and returns its length.
    pub(super) fn flood(&mut self, frames: usize, mut write: impl FnMut(&mut [u8]) -> usize) {
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
        self.run_turns();
    }

    fn inject_between(
        &mut self,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        protocol: Protocol,
        emit: impl FnOnce(&mut [u8]) -> usize,
    ) {
        self.inject(EtherType::IPV4, |bytes| {
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

    /// Delivers a segment of the peer and runs the shard until it is idle.
    pub(super) fn receives(&mut self, header: &HeaderOut<'_>, payload: &[u8]) {
        self.inject_segment(header, payload);
        self.run_turns();
    }

    /// Transmits a segment of the peer, without a turn of the shard.
    pub(super) fn inject_segment(&mut self, header: &HeaderOut<'_>, payload: &[u8]) {
        let pseudo = PseudoHeader::v4(PEER, LOCAL);
        self.inject_ip(Protocol::TCP, |bytes| {
            header.emit(pseudo, (payload, &[]), bytes).expect("room")
        });
    }

    /// Delivers a segment between any two addresses.
    pub(super) fn receives_between(
        &mut self,
        src: Ipv4Addr,
        dst: Ipv4Addr,
        header: &HeaderOut<'_>,
    ) {
        let pseudo = PseudoHeader::v4(src, dst);
        self.inject_between(src, dst, Protocol::TCP, |bytes| {
            header.emit(pseudo, (&[], &[]), bytes).expect("room")
        });
        self.run_turns();
    }

    /// Runs turns until the shard is idle.
    pub(super) fn run_turns(&mut self) {
        for _ in 0..8 {
            self.turn();
        }
    }

    /// Runs one turn.
    pub(super) fn turn(&mut self) {
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
            self.sent.extend(segment(&frame));
            let requested = is_arp_request(&frame);
            self.far.release(frame);
            if requested {
                self.arp_requests += 1;
                self.send_arp_reply();
            }
        }
    }

    fn send_arp_reply(&mut self) {
        let reply = arp::Packet {
            operation: arp::Operation::Reply,
            sender_mac: PEER_MAC,
            sender_ip: PEER,
            target_mac: LOCAL_MAC,
            target_ip: LOCAL,
        };
        self.inject(EtherType::ARP, |bytes| reply.emit(bytes).expect("room"));
    }

    /// Advances the clock in steps of 10 ms and runs the shard after each.
    pub(super) fn after_ms(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(10) {
            self.now += Duration::from_millis(10);
            self.run_turns();
        }
    }

    /// Takes the segments that the shard has sent since the last call.
    pub(super) fn sent(&mut self) -> Vec<SentSegment> {
        core::mem::take(&mut self.sent)
    }

    /// Takes the callbacks since the last call.
    pub(super) fn callbacks(&mut self) -> Vec<Callback> {
        core::mem::take(&mut self.program.callbacks.borrow_mut())
    }

    /// Runs `call` inside the service.
    pub(super) fn with_io(&mut self, call: impl FnOnce(&mut dyn Io) + 'static) {
        self.program.calls.borrow_mut().push_back(Box::new(call));
        self.run_turns();
    }

    /// Runs `call` inside the service, and returns its result.
    pub(super) fn ask<R: 'static>(&mut self, call: impl FnOnce(&mut dyn Io) -> R + 'static) -> R {
        let answer = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&answer);
        self.with_io(move |io| *slot.borrow_mut() = Some(call(io)));
        answer.borrow_mut().take().expect("the alarm is always set")
    }

    /// Runs `call` at the end of the next turn.
    pub(super) fn at_turn_end(&mut self, call: impl FnOnce(&mut dyn Io) + 'static) {
        self.program.at_turn_end.push_back(Box::new(call));
    }

    /// Records every callback from now on.
    pub(super) const fn record_all(&mut self) {
        self.program.records_all = true;
    }

    /// Begins to drain.
    pub(super) fn drain(&mut self, deadline: Instant) {
        let Self { shard, near, program, now, .. } = self;
        let mut env = TurnEnv { link: near, service: program, handover: &mut SingleWorker };
        shard.drain(*now, &mut env, deadline);
    }

    /// Returns the connection that was accepted or opened last.
    pub(super) fn conn(&self) -> ConnId {
        self.program.last.borrow().expect("there was one")
    }

    /// Connects to the peer. Returns the SYN.
    pub(super) fn connect(&mut self) -> SentSegment {
        let last = Rc::clone(&self.program.last);
        self.with_io(move |io| {
            let remote = (PEER, PEER_PORT).into();
            let conn = io.connect(&ConnectOptions { remote, local: None, user: 0 });
            *last.borrow_mut() = conn.ok();
        });
        self.sent().remove(0)
    }

    /// Accepts a connection from the peer. Returns the shard's initial sequence number.
    pub(super) fn accept(&mut self) -> u32 {
        self.receives(&syn(), &[]);
        let syn_ack = self.sent().remove(0);
        self.receives(&ack(IRS + 1, syn_ack.seq + 1), &[]);
        assert_eq!(self.callbacks(), [Callback::Accepted]);
        assert!(self.sent().is_empty());
        syn_ack.seq
    }
}

fn is_arp_request(frame: &[u8]) -> bool {
    ethernet::parse(frame).is_ok_and(|(header, packet)| {
        header.ethertype == EtherType::ARP
            && arp::parse(packet).is_ok_and(|arp| arp.target_ip == PEER)
    })
}

/// Parses a TCP segment over IPv4. Returns `None` for any other frame.
fn segment(frame: &[u8]) -> Option<SentSegment> {
    let (header, packet) = ethernet::parse(frame).ok()?;
    if header.ethertype != EtherType::IPV4 {
        return None;
    }
    let (ip, bytes) = ipv4::parse(packet).ok()?;
    let (tcp, payload) = tcp::parse(bytes).ok().filter(|_| ip.protocol == Protocol::TCP)?;
    Some(SentSegment {
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
        shift: tcp.options.window_shift,
        stamp: tcp.options.timestamps.map(|ts| (ts.value, ts.echo)),
        fast_open: tcp.options.fast_open().map(|option| option.cookie.to_vec()),
    })
}

/// Builds a segment of the peer without options.
pub(super) fn segment_of(flags: u16, seq: u32, ack: u32) -> HeaderOut<'static> {
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

/// Builds the peer's SYN, with an MSS as its only option.
pub(super) fn syn() -> HeaderOut<'static> {
    let options = OptionsOut { mss: Some(1000), ..OptionsOut::default() };
    HeaderOut { options, ..segment_of(flag::SYN, IRS, 0) }
}

pub(super) fn ack(seq: u32, ack: u32) -> HeaderOut<'static> {
    segment_of(flag::ACK, seq, ack)
}

/// Length of the Ethernet and IPv4 headers.
pub(super) const FRAME_HEADERS: usize = 14 + ipv4::HEADER_LEN;

/// Writes the Ethernet and IPv4 headers of a packet from `src` to the shard, in front of `len`
/// bytes of payload. Returns the length of the frame.
pub(super) fn frame_to_local(
    bytes: &mut [u8],
    src: Ipv4Addr,
    protocol: Protocol,
    len: usize,
) -> usize {
    let vlan = vlan::Tags::NONE;
    let header =
        ethernet::Header { dst: LOCAL_MAC, src: PEER_MAC, ethertype: EtherType::IPV4, vlan };
    let at = header.emit(bytes).expect("room");
    let header = ipv4::HeaderOut {
        src,
        dst: LOCAL,
        protocol,
        ttl: 64,
        traffic_class: TrafficClass(0),
        ident: 0,
        fragment: ipv4::Fragment::DONT,
    };
    header.emit(len, &mut bytes[at..]).expect("room");
    FRAME_HEADERS + len
}

/// Builds the quote in an ICMP error about a segment of the shard with `text` bytes of TCP: its IP
/// header and the first eight bytes of TCP.
pub(super) fn quoted_segment((local, remote): (u16, u16), seq: u32, text: usize) -> [u8; 28] {
    let ip = ipv4::HeaderOut {
        src: LOCAL,
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
