//! Bulk transfer through two shards at memory speed: one MiB after the other from a sender that
//! always has more to a receiver that reads at once; full segments, checksums written and verified.
//! One core works for both ends.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linerate::link::memory::{self, MemoryLink};
use linerate::shard::{
    Config, ConnId, ConnectOptions, Io, ListenerConfig, Service, Shard, SingleWorker, TurnEnv,
};
use linerate::tcp::congestion::Algorithm;
use linerate::time::{Duration, Instant};
use linerate::wire::MacAddr;
use std::time::Instant as Clock;

const PORT: u16 = 7;
const MIB: usize = 1 << 20;

/// The data, sent over and over.
static TEXT: [u8; 64 << 10] = [7; 64 << 10];

/// Writes as much as fits on each of its connections.
struct Source {
    connections: usize,
}

impl Source {
    fn fill(io: &mut dyn Io, conn: ConnId) {
        while io.write(conn, &TEXT) > 0 {}
    }
}

impl Service for Source {
    fn on_start(&mut self, io: &mut dyn Io) {
        for _ in 0..self.connections {
            let remote = format!("192.0.2.1:{PORT}").parse().expect("an address");
            io.connect(&ConnectOptions { remote, local: None, user: 0 }).expect("a free port");
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        Self::fill(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        Self::fill(io, conn);
    }
}

/// Reads and counts all that arrives.
struct Sink {
    bytes: usize,
    buffer: Vec<u8>,
}

impl Service for Sink {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        loop {
            let read = io.read(conn, &mut self.buffer);
            if read == 0 {
                break;
            }
            self.bytes += read;
        }
    }
}

/// Both ends, turned by hand; a turn of each takes 10 microseconds.
struct World {
    receiver: (Shard, MemoryLink, Sink),
    sender: (Shard, MemoryLink, Source),
    now: Instant,
}

impl World {
    fn new(connections: usize, algorithm: Algorithm) -> Self {
        let (a, b) = memory::pair(memory::Config { frames: 8192, frame_max: 2048, ring: 2048 });
        let shard = |n: u8| {
            let address = format!("192.0.2.{n}").parse().expect("an address");
            let mac = MacAddr([2, 0, 0, 0, 0, n]);
            let mut config = Config::new(mac, vec![(address, 24)], [n; 32]);
            config.settings.congestion = algorithm;
            Shard::new(config)
        };
        let mut world = Self {
            receiver: (shard(1), a, Sink { bytes: 0, buffer: vec![0; 64 << 10] }),
            sender: (shard(2), b, Source { connections }),
            now: Instant::from_millis(1000),
        };
        world.receiver.0.listen(ListenerConfig::on_port(PORT)).expect("a free port");
        let (shard, link, service) = &mut world.receiver;
        shard.start(world.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
        let (shard, link, service) = &mut world.sender;
        shard.start(world.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
        world.deliver(64 * MIB);
        assert_eq!(world.receiver.0.connections(), connections, "all are open");
        world
    }

    /// Runs turns until `bytes` more bytes were read.
    fn deliver(&mut self, bytes: usize) {
        let until = self.receiver.2.bytes + bytes;
        let mut turns = 0;
        while self.receiver.2.bytes < until {
            self.now += Duration::from_micros(10);
            let (shard, link, service) = &mut self.sender;
            shard.turn(self.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
            let (shard, link, service) = &mut self.receiver;
            shard.turn(self.now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
            turns += 1;
            assert!(turns < 1000 * (1 + bytes / 1000), "nothing moves any more");
        }
    }
}

fn bulk(c: &mut Criterion) {
    let mut group = c.benchmark_group("bulk, both ends on one core");
    group.throughput(Throughput::Bytes(MIB as u64));
    for algorithm in [Algorithm::Cubic, Algorithm::Bbr] {
        for connections in [1, 64] {
            let mut world = World::new(connections, algorithm);
            group.bench_function(format!("{}, {connections} connections", algorithm.name()), |b| {
                b.iter_custom(|mebibytes| {
                    let begin = Clock::now();
                    world.deliver(mebibytes as usize * MIB);
                    begin.elapsed()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bulk);
criterion_main!(benches);
