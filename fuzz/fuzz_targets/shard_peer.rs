//! A hostile peer sends arbitrary segments at arbitrary times, and the program makes arbitrary
//! calls. The shard must reply with well-formed frames only, and hold nothing at the end.

#![no_main]

mod peer;

use std::cell::RefCell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use linerate::limits::Limits;
use linerate::link::memory::{self, MemoryLink};
use linerate::link::{Frame, Link};
use linerate::shard::{
    Algorithm, CloseReason, Config, ConnId, ConnectOptions, FastOpenListener, Io, ListenerConfig,
    ListenerId, Service, Shard, SingleWorker, SocketOption, TurnEnv,
};
use linerate::time::{Duration, Instant};
use linerate::wire::MacAddr;

use peer::{Bytes, OURS, Peer, THEIRS};

/// A call of the program.
#[derive(Clone, Copy, Debug)]
enum Call {
    Connect,
    Write(u16),
    Read(u16),
    Close,
    CloseBoth,
    CloseBy(u64),
    Abort,
    Urgent(u8),
    SetOption(SocketOption),
}

#[derive(Clone, Default)]
struct Program {
    calls: Rc<RefCell<Vec<(u8, Call)>>>,
    conns: Rc<RefCell<Vec<ConnId>>>,
}

impl Program {
    fn run_calls(&self, io: &mut dyn Io) {
        for (which, call) in self.calls.borrow_mut().drain(..) {
            if let Call::Connect = call {
                let remote = (THEIRS, u16::from(which & 3) + peer::PORT).into();
                self.conns.borrow_mut().extend(io.connect(&ConnectOptions {
                    remote,
                    local: None,
                    user: 1,
                }));
                continue;
            }
            let conns = self.conns.borrow();
            let Some(&conn) = conns.get(usize::from(which) % conns.len().max(1)) else { continue };
            match call {
                Call::Connect => {}
                Call::Write(len) => drop(io.write(conn, &vec![which; len.into()])),
                Call::Read(len) => drop(io.read(conn, &mut vec![0; len.into()])),
                Call::Close => io.close(conn),
                Call::CloseBoth => io.close_both(conn),
                Call::CloseBy(ms) => io.close_by(conn, io.now() + Duration::from_millis(ms)),
                Call::Abort => io.abort(conn),
                Call::Urgent(len) => drop(io.write_urgent(conn, &vec![1; len.into()])),
                Call::SetOption(option) => io.set_option(conn, option),
            }
        }
    }
}

impl Service for Program {
    fn on_start(&mut self, io: &mut dyn Io) {
        io.set_alarm(io.now());
    }
    fn on_accept(&mut self, _: &mut dyn Io, conn: ConnId, _: ListenerId) {
        self.conns.borrow_mut().push(conn);
    }
    fn on_closed(&mut self, _: &mut dyn Io, conn: ConnId, _: u64, _: CloseReason) {
        self.conns.borrow_mut().retain(|it| *it != conn);
    }
    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.run_calls(io);
        io.set_alarm(io.now());
    }
}

/// The shard, its program, and the link to the peer.
struct TestBed {
    shard: Shard,
    near: MemoryLink,
    far: MemoryLink,
    program: Program,
    now: Instant,
}

impl TestBed {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let mut config = Config::new(MacAddr(OURS.mac), vec![(OURS.ip.into(), 24)], [7; 32]);
        config.limits = Limits {
            connections: 8,
            embryos: 4,
            time_waits: 4,
            orphans: 4,
            buffer_bytes: 1 << 20,
            neighbours: 4,
            path_mtus: 2,
            fast_open_peers: 2,
            reassembly_datagrams: 4,
            reassembly_bytes: 1 << 14,
            ..Limits::default()
        };
        config.settings.congestion = algorithm(bytes.byte());
        let mut shard = Shard::new(config);
        let listener = ListenerConfig {
            fast_open: bytes.flag().then(FastOpenListener::default),
            ..ListenerConfig::on_port(peer::SERVICE)
        };
        shard.listen(listener).expect("a free port");
        let sizes = memory::Config { frames: 256, frame_max: 2048, ring: 128 };
        let (near, far) = memory::pair(sizes);
        let now = Instant::from_millis(1_000_000);
        let mut bed = Self { shard, near, far, program: Program::default(), now };
        let Self { shard, near, program, .. } = &mut bed;
        shard
            .start(now, &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker });
        bed
    }

    /// Runs turns until the shard is idle. The peer checks every frame that it sends.
    fn run_turns(&mut self, peer: &mut Peer) {
        for _ in 0..6 {
            let Self { shard, near, far, program, now } = self;
            shard.turn(
                *now,
                &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker },
            );
            let mut frames: Vec<Frame> = Vec::new();
            far.receive(*now, usize::MAX, &mut frames);
            for frame in frames {
                let reply = peer.check(&frame);
                self.far.release(frame);
                if let Some(bytes) = reply {
                    self.inject(&bytes);
                }
            }
            self.far.flush(self.now);
        }
    }

    fn inject(&mut self, bytes: &[u8]) {
        if let Some(mut frame) = self.far.reserve() {
            frame.fill(&bytes[..bytes.len().min(2048)]);
            self.far.transmit(self.now, frame);
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>, peer: &mut Peer) {
        match bytes.byte() % 16 {
            0..=8 => {
                let frame = peer.segment(bytes);
                self.inject(&frame);
            }
            9 => self.now += Duration::from_micros(1 << (bytes.byte() % 27)),
            10 => {
                let frame = peer.icmp(bytes);
                self.inject(&frame);
            }
            11 => {
                let frame = peer.arbitrary(bytes);
                self.inject(&frame);
            }
            _ => {
                let call = draw_call(bytes);
                self.program.calls.borrow_mut().push((bytes.byte(), call));
            }
        }
        if bytes.flag() {
            self.run_turns(peer);
        }
    }

    /// Aborts all connections and asserts that the shard holds nothing.
    fn finish(mut self, mut peer: Peer) {
        self.run_turns(&mut peer);
        self.shard.abort_all(self.now);
        for _ in 0..20 {
            self.run_turns(&mut peer);
            self.now += Duration::from_secs(60);
        }
        let memory = self.shard.memory();
        assert_eq!((self.shard.connections(), self.shard.time_waits()), (0, 0));
        assert_eq!((memory.promised, memory.lent, memory.in_use), (0, 0, 0));
        assert_eq!(self.near.accounting().held, 0, "{:?}", self.near.accounting());
    }
}

fn algorithm(byte: u8) -> Algorithm {
    [Algorithm::NewReno, Algorithm::Cubic, Algorithm::Bbr, Algorithm::Dctcp][usize::from(byte % 4)]
}

fn draw_call(bytes: &mut Bytes<'_>) -> Call {
    match bytes.byte() % 12 {
        0 | 1 => Call::Connect,
        2..=4 => Call::Write(bytes.word()),
        5 => Call::Read(bytes.word()),
        6 => Call::Close,
        7 => Call::CloseBoth,
        8 => Call::CloseBy(bytes.word().into()),
        9 => Call::Abort,
        10 => Call::Urgent(bytes.byte()),
        _ => Call::SetOption(match bytes.byte() % 8 {
            0 => SocketOption::Nagle(bytes.flag()),
            1 => SocketOption::KeepAlive(bytes.flag()),
            2 => SocketOption::Cork(bytes.flag()),
            3 => SocketOption::QuickAck(bytes.flag()),
            4 => SocketOption::UserTimeout(Some(Duration::from_millis(bytes.word().into()))),
            5 => SocketOption::CongestionControl(algorithm(bytes.byte())),
            6 => SocketOption::PacingRateMax(Some(bytes.word().into())),
            _ => SocketOption::WindowMax(Some(bytes.word().into())),
        }),
    }
}

fuzz_target!(|input: &[u8]| {
    let mut bytes = Bytes(input);
    let (mut bed, mut peer) = (TestBed::new(&mut bytes), Peer::default());
    bed.inject(&peer.arp_request());
    bed.run_turns(&mut peer);
    while !bytes.is_empty() {
        bed.step(&mut bytes, &mut peer);
    }
    bed.finish(peer);
});
