//! The cost of the protocol without wire and link: a segment in, a segment out, and an exchange
//! from SYN to TIME-WAIT between two ends in memory.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linerate::tcp::{
    BufferPool, Connection, Embryo, EmbryoAnswer, Env, Flags, Options, Phase, RareOptions, Segment,
    SegmentOut, SeqNum, Settings, Timestamps, WindowShift,
};
use linerate::time::{Duration, Instant};

const MSS: usize = 1448;

/// The environment of a connection.
struct World {
    now: Instant,
    settings: Settings,
    pool: BufferPool,
    challenge_acks: u32,
}

impl World {
    fn new() -> Self {
        Self {
            now: Instant::from_millis(1_000),
            settings: Settings::default(),
            pool: BufferPool::new(1 << 26),
            challenge_acks: 1000,
        }
    }

    fn env(&mut self) -> Env<'_> {
        Env {
            now: self.now,
            settings: &self.settings,
            pool: &mut self.pool,
            challenge_acks: &mut self.challenge_acks,
        }
    }

    /// An established connection, ISS 1000 and IRS 2000, timestamps and scaling on.
    fn established(&mut self) -> Connection {
        let mut c = Connection::open(&mut self.env(), SeqNum(1000), 0, false);
        let _ = c.poll_segment(&mut self.env());
        let answer = Segment {
            seq: SeqNum(2000),
            flags: Flags::SYN.with(Flags::ACK),
            options: Options {
                mss: Some(1460),
                window_shift: Some(WindowShift::from_offer(7)),
                ..stamped()
            },
            ..segment(SeqNum(1001))
        };
        let _ = c.on_segment(&mut self.env(), &answer);
        let _ = c.poll_segment(&mut self.env());
        assert_eq!(c.phase(), Phase::Established);
        c
    }
}

fn stamped() -> Options {
    Options { timestamps: Some(Timestamps { value: 1, echo: 1000 }), ..Options::default() }
}

/// An ACK of `ack` from the peer at 2001.
fn segment(ack: SeqNum) -> Segment<'static> {
    Segment {
        seq: SeqNum(2001),
        ack,
        flags: Flags::ACK,
        window: u16::MAX,
        options: stamped(),
        ..Segment::default()
    }
}

/// Converts a sent segment to the received form. Only for segments without data and rare options.
fn deliver(out: &SegmentOut<'_>) -> Segment<'static> {
    Segment {
        seq: out.seq,
        ack: out.ack,
        flags: out.flags,
        window: out.window,
        urgent: out.urgent,
        ecn: out.ecn,
        options: out.options,
        rare: &RareOptions::NONE,
        payload: &[],
    }
}

fn segment_in(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tcp");
    group.throughput(Throughput::Elements(1));
    let mut world = World::new();
    let mut c = world.established();
    let payload = [7; MSS];
    let mut buffer = [0; MSS];
    let mut arriving = Segment { payload: &payload, ..segment(SeqNum(1001)) };
    group.bench_function("segment in, read, every second acknowledged", |b| {
        b.iter(|| {
            let _ = black_box(c.on_segment(&mut world.env(), &arriving));
            arriving.seq += MSS as u32;
            black_box(c.read(&mut world.env(), &mut buffer));
            black_box(c.poll_segment(&mut world.env()).is_some())
        });
    });
    let mut c = world.established();
    let ack = segment(SeqNum(1001));
    group.bench_function("bare ACK in", |b| {
        b.iter(|| {
            let _ = black_box(c.on_segment(&mut world.env(), &ack));
            black_box(c.has_pending_output())
        });
    });
    group.finish();
}

fn segment_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tcp");
    group.throughput(Throughput::Elements(1));
    for len in [64, MSS] {
        let mut world = World::new();
        let mut c = world.established();
        let payload = vec![7; len];
        let mut ack = segment(SeqNum(1001));
        group.bench_function(format!("write, segment out, ACK in, {len} bytes"), |b| {
            b.iter(|| {
                black_box(c.write(&mut world.env(), &payload));
                let sent = c.poll_segment(&mut world.env()).map_or(0, |out| out.payload_len());
                ack.ack += sent as u32;
                let _ = black_box(c.on_segment(&mut world.env(), &ack));
                world.now += Duration::from_micros(10);
            });
        });
    }
    group.finish();
}

/// SYN, SYN-ACK, ACK, FIN, FIN with ACK, ACK: the work of both ends.
fn exchange(world: &mut World) -> u32 {
    let mut client = Connection::open(&mut world.env(), SeqNum(1000), 1, false);
    let Some(syn) = client.poll_segment(&mut world.env()).map(|out| deliver(&out)) else {
        return 0;
    };
    let mut embryo = Embryo::from_syn(&syn, 0, SeqNum(2000), world.now, &world.settings, false);
    let syn_ack = deliver(&embryo.syn_ack(world.now, 2, &world.settings, false));
    let _ = client.on_segment(&mut world.env(), &syn_ack);
    let mut server = None;
    let mut segments = 2;
    loop {
        let mut quiet = true;
        while let Some(segment) = client.poll_segment(&mut world.env()).map(|out| deliver(&out)) {
            quiet = false;
            segments += 1;
            if server.is_none() {
                assert_eq!(embryo.on_segment(&segment, &world.settings), EmbryoAnswer::Establish);
            }
            let server = server.get_or_insert_with(|| {
                Connection::from_embryo(&mut world.env(), &embryo, 2, false, &segment)
            });
            let _ = server.on_segment(&mut world.env(), &segment);
        }
        client.close(&mut world.env());
        let Some(server) = &mut server else { continue };
        if server.phase() == Phase::CloseWait {
            server.close(&mut world.env());
        }
        while let Some(segment) = server.poll_segment(&mut world.env()).map(|out| deliver(&out)) {
            quiet = false;
            segments += 1;
            let _ = client.on_segment(&mut world.env(), &segment);
        }
        if quiet && server.is_over() && client.is_over() {
            return segments;
        }
    }
}

fn open_and_close(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tcp");
    group.throughput(Throughput::Elements(1));
    let mut world = World::new();
    assert_eq!(exchange(&mut world), 6);
    group.bench_function("open and close, both ends", |b| {
        b.iter(|| black_box(exchange(&mut world)));
    });
    group.finish();
}

criterion_group!(benches, segment_in, segment_out, open_and_close);
criterion_main!(benches);
