//! A hostile peer: whatever segments it sends, in whatever order and time, and whatever the program
//! does meanwhile, the shard answers with well-formed frames only and holds nothing in the end.

#![no_main]

mod peer;

use std::cell::RefCell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use linerate::limits::Limits;
use linerate::link::memory::{self, MemoryLink};
use linerate::link::{Frame, Link};
use linerate::shard::{
    Algorithm, SingleWorker, SocketOption, Config, ConnId, CloseReason, FastOpenListener, Io, ListenerConfig,
    ListenerId, ConnectOptions, Service, Shard, TurnEnv,
};
use linerate::time::{Duration, Instant};
use linerate::wire::MacAddr;

use peer::{Bytes, OURS, Peer, THEIRS};

/// The program's next call.
#[derive(Clone, Copy, Debug)]
enum Order {
    Connect,
    Write(u16),
    Read(u16),
    Close,
    CloseBoth,
    CloseBy(u64),
    Abort,
    Urgent(u8),
    Choose(SocketOption),
}

#[derive(Clone, Default)]
struct Program {
    orders: Rc<RefCell<Vec<(u8, Order)>>>,
    conns: Rc<RefCell<Vec<ConnId>>>,
}

impl Program {
    fn obey(&self, io: &mut dyn Io) {
        for (which, order) in self.orders.borrow_mut().drain(..) {
            if let Order::Connect = order {
                let remote = (THEIRS, u16::from(which & 3) + peer::PORT).into();
                self.conns.borrow_mut().extend(io.connect(&ConnectOptions { remote, local: None, user: 1 }));
                continue;
            }
            let conns = self.conns.borrow();
            let Some(&conn) = conns.get(usize::from(which) % conns.len().max(1)) else { continue };
            match order {
                Order::Connect => {}
                Order::Write(len) => drop(io.write(conn, &vec![which; len.into()])),
                Order::Read(len) => drop(io.read(conn, &mut vec![0; len.into()])),
                Order::Close => io.close(conn),
                Order::CloseBoth => io.close_both(conn),
                Order::CloseBy(ms) => io.close_by(conn, io.now() + Duration::from_millis(ms)),
                Order::Abort => io.abort(conn),
                Order::Urgent(len) => drop(io.write_urgent(conn, &vec![1; len.into()])),
                Order::Choose(choice) => io.set_option(conn, choice),
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
        self.obey(io);
        io.set_alarm(io.now());
    }
}

/// The shard between its program and the peer.
struct Stage {
    shard: Shard,
    near: MemoryLink,
    far: MemoryLink,
    program: Program,
    now: Instant,
}

impl Stage {
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
        let mut stage = Self { shard, near, far, program: Program::default(), now };
        let Self { shard, near, program, .. } = &mut stage;
        shard.start(now, &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker });
        stage
    }

    /// Turns until the shard is quiet; the peer checks all that it sends.
    fn turns(&mut self, peer: &mut Peer) {
        for _ in 0..6 {
            let Self { shard, near, far, program, now } = self;
            shard.turn(
                *now,
                &mut TurnEnv { link: near, service: program, handover: &mut SingleWorker },
            );
            let mut frames: Vec<Frame> = Vec::new();
            far.receive(*now, usize::MAX, &mut frames);
            for frame in frames {
                let answer = peer.sees(&frame);
                self.far.release(frame);
                if let Some(bytes) = answer {
                    self.puts(&bytes);
                }
            }
            self.far.flush(self.now);
        }
    }

    fn puts(&mut self, bytes: &[u8]) {
        if let Some(mut frame) = self.far.reserve() {
            frame.fill(&bytes[..bytes.len().min(2048)]);
            self.far.transmit(self.now, frame);
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>, peer: &mut Peer) {
        match bytes.byte() % 16 {
            0..=8 => {
                let frame = peer.segment(bytes);
                self.puts(&frame);
            }
            9 => self.now += Duration::from_micros(1 << (bytes.byte() % 27)),
            10 => {
                let frame = peer.icmp(bytes);
                self.puts(&frame);
            }
            11 => {
                let frame = peer.anything(bytes);
                self.puts(&frame);
            }
            _ => {
                let order = order(bytes);
                self.program.orders.borrow_mut().push((bytes.byte(), order));
            }
        }
        if bytes.flag() {
            self.turns(peer);
        }
    }

    /// Ends everything, and checks that the shard holds nothing.
    fn finish(mut self, mut peer: Peer) {
        self.turns(&mut peer);
        self.shard.abort_all(self.now);
        for _ in 0..20 {
            self.turns(&mut peer);
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

fn order(bytes: &mut Bytes<'_>) -> Order {
    match bytes.byte() % 12 {
        0 | 1 => Order::Connect,
        2..=4 => Order::Write(bytes.word()),
        5 => Order::Read(bytes.word()),
        6 => Order::Close,
        7 => Order::CloseBoth,
        8 => Order::CloseBy(bytes.word().into()),
        9 => Order::Abort,
        10 => Order::Urgent(bytes.byte()),
        _ => Order::Choose(match bytes.byte() % 8 {
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
    let (mut stage, mut peer) = (Stage::new(&mut bytes), Peer::default());
    stage.puts(&peer.introduction());
    stage.turns(&mut peer);
    while !bytes.is_empty() {
        stage.step(&mut bytes, &mut peer);
    }
    stage.finish(peer);
});
