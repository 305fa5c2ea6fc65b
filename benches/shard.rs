//! Segments in and out of a shard: data on an established connection, by batch size; a scan of
//! closed ports; an idle turn.

use std::hint::black_box;
use std::time::Instant as Clock;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linerate::limits::Limits;
use linerate::link::Link;
use linerate::link::memory::{self, MemoryLink};
use linerate::shard::{
    Config, ConnId, ConnectOptions, Io, ListenerConfig, Service, Shard, SingleWorker, TurnEnv,
};
use linerate::time::{Duration, Instant};
use linerate::wire::MacAddr;

/// Bytes of a request and of its response.
const REQUEST: usize = 64;

/// Echoes what it receives.
struct Echo;

impl Service for Echo {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 2048];
        loop {
            let read = io.read(conn, &mut buffer);
            if read == 0 {
                break;
            }
            io.write(conn, &buffer[..read]);
        }
    }
}

/// Keeps some connections open; each sends the next request once per step after its response.
struct Asker {
    connections: usize,
    answered: Vec<ConnId>,
}

impl Service for Asker {
    fn on_start(&mut self, io: &mut dyn Io) {
        for _ in 0..self.connections {
            let remote = "192.0.2.1:7".parse().expect("an address");
            io.connect(&ConnectOptions { remote, local: None, user: 0 }).expect("a free port");
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        io.write(conn, &[1; REQUEST]);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 2048];
        while io.read(conn, &mut buffer) > 0 {}
        self.answered.push(conn);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        for conn in self.answered.drain(..) {
            io.write(conn, &[1; REQUEST]);
        }
    }
}

/// A server and a client, turned by hand.
struct Pair {
    server: (Shard, MemoryLink),
    client: (Shard, MemoryLink),
    asker: Asker,
    now: Instant,
}

impl Pair {
    fn new(connections: usize) -> Self {
        let (a, b) = memory::pair(memory::Config { frames: 4096, frame_max: 2048, ring: 2048 });
        let shard = |n: u8| {
            let address = format!("192.0.2.{n}").parse().expect("an address");
            let mac = MacAddr([2, 0, 0, 0, 0, n]);
            let mut config = Config::new(mac, vec![(address, 24)], [n; 32]);
            config.limits = Limits { connections: 4096, ..Limits::default() };
            config.settings.nagle = false;
            Shard::new(config)
        };
        let mut pair = Self {
            server: (shard(1), a),
            client: (shard(2), b),
            asker: Asker { connections, answered: Vec::new() },
            now: Instant::from_millis(1000),
        };
        pair.server.0.listen(ListenerConfig::on_port(7)).expect("a free port");
        let (shard, link) = &mut pair.server;
        let around = &mut TurnEnv { link, service: &mut Echo, handover: &mut SingleWorker };
        shard.start(pair.now, around);
        let (shard, link) = &mut pair.client;
        let service = &mut pair.asker;
        shard.start(pair.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
        for _ in 0..20_000 {
            pair.step();
        }
        assert_eq!(pair.asker.answered.len(), 0, "every answer is followed by a request");
        assert_eq!(pair.server.0.connections(), connections, "all are open");
        pair
    }

    /// Turns both shards once; every connection that was answered sends its next request.
    fn step(&mut self) -> usize {
        self.now += Duration::from_micros(10);
        let (shard, link) = &mut self.server;
        let around = &mut TurnEnv { link, service: &mut Echo, handover: &mut SingleWorker };
        let turn = shard.turn(self.now, around);
        let (shard, link) = &mut self.client;
        let service = &mut self.asker;
        shard.turn(self.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
        self.next_requests();
        turn.received
    }

    fn next_requests(&mut self) {
        struct Again<'a>(&'a mut Asker);
        impl Service for Again<'_> {
            fn on_start(&mut self, io: &mut dyn Io) {
                self.0.on_alarm(io);
            }
        }
        let (shard, link) = &mut self.client;
        let service = &mut Again(&mut self.asker);
        shard.start(self.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
    }
}

fn request_and_answer(c: &mut Criterion) {
    let mut group = c.benchmark_group("request and answer of 64 bytes, both ends");
    for connections in [1, 16, 64] {
        let mut pair = Pair::new(connections);
        group.throughput(Throughput::Elements(connections as u64));
        group.bench_function(format!("{connections} connections"), |b| {
            b.iter(|| black_box(pair.step()));
        });
    }
    group.finish();
}

fn idle_turn(c: &mut Criterion) {
    let mut pair = Pair::new(0);
    c.bench_function("a turn with nothing to do", |b| {
        b.iter(|| {
            pair.now += Duration::from_nanos(100);
            let (shard, link) = &mut pair.server;
            let around = &mut TurnEnv { link, service: &mut Echo, handover: &mut SingleWorker };
            black_box(shard.turn(pair.now, around))
        });
    });
}

fn closed_port(c: &mut Criterion) {
    let mut pair = Pair::new(1);
    let mut frames = Vec::new();
    // A request of the client to a server that has no such connection.
    let template: Vec<u8> = loop {
        pair.next_requests();
        pair.now += Duration::from_millis(300);
        let (shard, link) = &mut pair.client;
        let service = &mut pair.asker;
        shard.turn(pair.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
        pair.server.1.receive(pair.now, 64, &mut frames);
        let segment = frames.iter().find(|frame| frame.len() > 60).map(|frame| frame.to_vec());
        for frame in frames.drain(..) {
            pair.server.1.release(frame);
        }
        if let Some(segment) = segment {
            break segment;
        }
    };
    let address = "192.0.2.1".parse().expect("an address");
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let mut closed_host = Shard::new(Config::new(mac, vec![(address, 24)], [3; 32]));
    let link = &mut pair.server.1;
    closed_host
        .start(pair.now, &mut TurnEnv { link, service: &mut Echo, handover: &mut SingleWorker });
    c.bench_function("a batch of 64 segments of no connection", |b| {
        b.iter_custom(|batches| {
            let mut spent = std::time::Duration::ZERO;
            for _ in 0..batches {
                for _ in 0..64 {
                    let mut frame = pair.client.1.reserve().expect("every frame came back");
                    frame.fill(&template);
                    pair.client.1.transmit(pair.now, frame);
                }
                pair.now += Duration::from_millis(10);
                let link = &mut pair.server.1;
                let around = &mut TurnEnv { link, service: &mut Echo, handover: &mut SingleWorker };
                let begin = Clock::now();
                black_box(closed_host.turn(pair.now, around));
                spent += begin.elapsed();
                pair.client.1.receive(pair.now, 4096, &mut frames);
                for frame in frames.drain(..) {
                    pair.client.1.release(frame);
                }
                pair.client.1.flush(pair.now);
            }
            spent
        });
    });
}

criterion_group!(benches, request_and_answer, idle_turn, closed_port);
criterion_main!(benches);
