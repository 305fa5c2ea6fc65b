//! Two connections communicate over a channel that loses, reorders and duplicates, in fake time.
//! One seed defines one world: first a storm, then the channel heals and everything must finish
//! with intact content.

use std::collections::BTreeMap;

use super::literals::content;
use crate::rng::Rng;
use crate::tcp::{
    Attempt, BufferPool, CloseReason, Codepoint, Connection, Cookie, Disposition, EcnPolicy,
    Embryo, EmbryoAnswer, EmbryoDeadline, Env, FastOpen, Flags, Form, Options, Segment, SegmentOut,
    SeqNum, Settings,
};
use crate::time::{Duration, Instant};

/// A segment in transit.
#[derive(Clone, Debug)]
struct Flight {
    seq: SeqNum,
    ack: SeqNum,
    flags: Flags,
    window: u16,
    ecn: Codepoint,
    options: Options,
    payload: Vec<u8>,
}

impl Flight {
    fn of(out: &SegmentOut<'_>) -> Self {
        Self {
            seq: out.seq,
            ack: out.ack,
            flags: out.flags,
            window: out.window,
            ecn: out.ecn,
            options: out.options,
            payload: [out.payload.0, out.payload.1].concat(),
        }
    }

    fn segment(&self) -> Segment<'_> {
        Segment {
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            ecn: self.ecn,
            options: self.options,
            payload: &self.payload,
            ..Segment::default()
        }
    }
}

/// State of the flow at one end.
#[derive(Debug)]
enum Flow {
    Listening,
    Embryo(Embryo),
    Connection(Box<Connection>),
}

/// One end: the flow, and a program that writes, reads and closes at random.
struct End {
    flow: Flow,
    settings: Settings,
    pool: BufferPool,
    challenge_acks: u32,
    iss: SeqNum,
    to_write: u32,
    written: u32,
    read: u32,
    /// Closes only after all data of the peer has arrived.
    closes_last: bool,
    peer_total: u32,
    /// Accepts data on SYNs (RFC 7413).
    fast_open: bool,
    out: Vec<Flight>,
}

macro_rules! env {
    ($end:expr, $now:expr) => {
        &mut Env {
            now: $now,
            settings: &$end.settings,
            pool: &mut $end.pool,
            challenge_acks: &mut $end.challenge_acks,
        }
    };
}

impl End {
    fn new(rng: &mut Rng, now: Instant, active: bool) -> Self {
        let settings = Settings {
            mss: [[100, 536, 1460][rng.below(3) as usize]; 2],
            receive_buffer: 1000 + rng.below(200_000) as u32,
            send_buffer: 1000 + rng.below(200_000) as u32,
            nagle: rng.happens(0.5),
            timestamps: rng.happens(0.5),
            window_scaling: rng.happens(0.5),
            syn_retries: 20,
            syn_ack_retries: 20,
            give_up_after: Duration::from_secs(600),
            ecn: [EcnPolicy::Off, EcnPolicy::Passive, EcnPolicy::On, EcnPolicy::Accurate]
                [rng.below(4) as usize],
            ..Settings::default()
        };
        let iss = if rng.happens(0.5) { 0u32.wrapping_sub(rng.below(9000) as u32) } else { 77 };
        let mut end = Self {
            flow: Flow::Listening,
            settings,
            pool: BufferPool::new(1 << 22),
            challenge_acks: u32::MAX,
            iss: SeqNum(iss),
            to_write: if rng.happens(0.2) { 0 } else { rng.below(60_000) as u32 },
            written: 0,
            read: 0,
            closes_last: false,
            peer_total: 0,
            fast_open: false,
            out: Vec::new(),
        };
        if active {
            let c = Connection::open(env!(end, now), end.iss, rng.next_u32(), false);
            end.flow = Flow::Connection(Box::new(c));
        }
        end
    }

    /// Runs the program, then collects the pending output.
    fn turn(&mut self, rng: &mut Rng, now: Instant, eager: bool) {
        let Flow::Connection(c) = &mut self.flow else { return };
        if eager || rng.happens(0.5) {
            let mut buffer = vec![0; 1 + rng.below(5000) as usize];
            let len = c.read(env!(self, now), &mut buffer);
            for byte in &buffer[..len] {
                self.read += 1;
                assert_eq!(*byte, content(self.read), "byte {}", self.read);
            }
        }
        let chunk = (self.to_write - self.written).min(rng.below(4000) as u32);
        let bytes: Vec<u8> = (1..=chunk).map(|i| content(self.written + i)).collect();
        self.written += c.write(env!(self, now), &bytes) as u32;
        let waits = self.closes_last && self.read < self.peer_total;
        if self.written == self.to_write && !waits && !c.phase().is_opening() {
            c.close(env!(self, now));
        }
        for _ in 0..64 {
            let pending = c.has_pending_output();
            let out = c.poll_segment(env!(self, now)).map(|out| Flight::of(&out));
            assert_eq!(pending, out.is_some());
            let Some(flight) = out else { break };
            self.out.push(flight);
        }
    }

    fn receive(&mut self, now: Instant, segment: &Segment<'_>) {
        match &mut self.flow {
            Flow::Listening => {
                if segment.flags.syn() && !segment.flags.ack() {
                    let embryo = Embryo::from_syn(segment, 0, self.iss, now, &self.settings, false);
                    if self.fast_open && segment.rare.fast_open.is_some() {
                        let env = env!(self, now);
                        let mut c = Connection::from_fast_open(env, &embryo, 3, false, segment);
                        c.take_syn_data(env, segment);
                        self.flow = Flow::Connection(Box::new(c));
                        return;
                    }
                    self.out.push(Flight::of(&embryo.syn_ack(now, 3, &self.settings, false)));
                    self.flow = Flow::Embryo(embryo);
                }
            }
            Flow::Embryo(embryo) => match embryo.on_segment(segment, &self.settings) {
                EmbryoAnswer::Establish => {
                    let embryo = *embryo;
                    let env = env!(self, now);
                    let mut c = Connection::from_embryo(env, &embryo, 3, false, segment);
                    let _ = c.on_segment(env, segment);
                    self.flow = Flow::Connection(Box::new(c));
                }
                EmbryoAnswer::SynAck => {
                    self.out.push(Flight::of(&embryo.syn_ack(now, 3, &self.settings, false)));
                }
                EmbryoAnswer::Ack(_) => {
                    self.out.push(Flight::of(&embryo.ack(now, 3, &self.settings)));
                }
                EmbryoAnswer::Reset | EmbryoAnswer::Ignore(_) => {}
                EmbryoAnswer::Remove | EmbryoAnswer::Refuse => {}
            },
            Flow::Connection(c) => {
                let disposition = c.on_segment(env!(self, now), segment);
                assert_ne!(disposition, Disposition::NoBuffer);
            }
        }
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        match &self.flow {
            Flow::Listening => None,
            Flow::Embryo(embryo) => Some(embryo.deadline(now)),
            Flow::Connection(c) => c.poll_deadline(),
        }
    }

    fn on_deadline(&mut self, now: Instant) {
        match &mut self.flow {
            Flow::Listening => {}
            Flow::Embryo(embryo) => match embryo.on_deadline(now, &self.settings) {
                EmbryoDeadline::Retransmit => {
                    self.out.push(Flight::of(&embryo.syn_ack(now, 3, &self.settings, false)));
                }
                EmbryoDeadline::GiveUp => self.flow = Flow::Listening,
                EmbryoDeadline::NotYet => {}
            },
            Flow::Connection(c) => c.on_deadline(env!(self, now)),
        }
    }

    fn is_over(&self) -> bool {
        matches!(&self.flow, Flow::Connection(c) if c.is_over())
    }

    fn check(&self) {
        let Flow::Connection(c) = &self.flow else { panic!("never established") };
        assert_eq!(c.close_reason(), Some(CloseReason::Finished));
        assert_eq!((self.written, self.read), (self.to_write, self.peer_total));
        assert_eq!(self.pool.in_use(), 0);
    }
}

/// Two ends and the channel between them.
struct World {
    rng: Rng,
    now: Instant,
    heals_at: Instant,
    ends: [End; 2],
    loss: f64,
    duplication: f64,
    marking: f64,
    delay_ms: u64,
    jitter_ms: u64,
    /// Ordered by arrival time, then by a sequence number.
    channel: BTreeMap<(Instant, u64), (usize, Flight)>,
    sent: u64,
}

impl World {
    /// Draws everything from the seed.
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let now = Instant::from_millis(1 + rng.below(1 << 40));
        let mut ends = [End::new(&mut rng, now, true), {
            let both = rng.happens(0.3);
            End::new(&mut rng, now, both)
        }];
        ends[0].peer_total = ends[1].to_write;
        ends[1].peer_total = ends[0].to_write;
        ends[0].closes_last = rng.happens(0.3);
        let [client, server] = &mut ends;
        if let (Flow::Connection(c), Flow::Listening, 0) =
            (&mut client.flow, &server.flow, seed % 2)
        {
            // RFC 7413 §4.2.2: a cookie, data on the SYN, and a server that accepts it or does not
            // support it.
            let cookie = FastOpen { form: Form::Assigned, cookie: Cookie::new(&[7; 8]) };
            c.attempt_fast_open(Attempt::Send { cookie: Some(cookie), mss: 1460 });
            server.fast_open = seed.is_multiple_of(4);
        }
        Self {
            heals_at: now + Duration::from_secs(rng.below(60)),
            loss: 0.3 * rng.unit() * rng.unit(),
            duplication: 0.2 * rng.unit() * rng.unit(),
            marking: rng.unit() * rng.unit(),
            delay_ms: rng.below(80),
            jitter_ms: rng.below(60),
            rng,
            now,
            ends,
            channel: BTreeMap::new(),
            sent: 0,
        }
    }

    fn run(&mut self) {
        let end = self.now + Duration::from_secs(7200);
        while !self.ends.iter().all(End::is_over) {
            assert!(
                self.now < end,
                "not over in time: {:?}",
                self.ends.each_ref().map(|e| &e.flow)
            );
            if self.now >= self.heals_at {
                (self.loss, self.duplication) = (0.0, 0.0);
            }
            for index in 0..2 {
                let eager = self.now >= self.heals_at;
                self.ends[index].turn(&mut self.rng, self.now, eager);
                for flight in core::mem::take(&mut self.ends[index].out) {
                    self.send(1 - index, &flight);
                }
            }
            self.step();
        }
        self.ends.iter().for_each(End::check);
    }

    fn send(&mut self, to: usize, flight: &Flight) {
        for _ in 0..1 + u8::from(self.rng.happens(self.duplication)) {
            if self.rng.happens(self.loss) {
                continue;
            }
            let delay = self.delay_ms + self.rng.below(self.jitter_ms + 1);
            let at = self.now + Duration::from_millis(delay);
            self.sent += 1;
            let mut flight = flight.clone();
            // Marks ECN-capable packets and leaves the others alone (RFC 3168 §5).
            if flight.ecn != Codepoint::NotEct && self.rng.happens(self.marking) {
                flight.ecn = Codepoint::Ce;
            }
            self.channel.insert((at, self.sent), (to, flight));
        }
    }

    /// Advances to the next event: an arrival, a deadline, or an action of the program.
    fn step(&mut self) {
        let mut next = self.now + Duration::from_millis(1 + self.rng.below(100));
        if let Some(((at, _), _)) = self.channel.first_key_value() {
            next = next.min(*at);
        }
        for end in &self.ends {
            next = next.min(end.deadline(self.now).unwrap_or(next));
        }
        self.now = self.now.max(next);
        while let Some(entry) = self.channel.first_entry().filter(|e| e.key().0 <= self.now) {
            let (to, flight) = entry.remove();
            self.ends[to].receive(self.now, &flight.segment());
        }
        for end in &mut self.ends {
            end.on_deadline(self.now);
        }
    }
}

#[test]
fn connections_survive_any_channel_with_intact_content() {
    for seed in 0..400 {
        let world = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(world.is_ok(), "seed {seed} failed");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.run();
        (world.now, world.sent)
    };
    assert_eq!(run(5), run(5));
}
