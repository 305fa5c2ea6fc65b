//! Random loss of data and ACKs: everything arrives in the end, and each timeout was necessary
//! (RFC 8985 §1: "RTO recovery remains the last resort").

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

use super::flights::{RTT_MS, opened};
use super::script::plain;
use super::{Script, ack};
use crate::rng::Rng;
use crate::tcp::Settings;
use crate::time::Duration;

/// A packet in transit.
enum Packet {
    /// A data segment.
    Data(Range<u32>),
    /// An ACK of the peer: the acknowledgment number and the SACK blocks, newest first.
    Ack(u32, Vec<Range<u32>>),
}

/// A peer that acknowledges each segment at once.
#[derive(Default)]
struct Peer {
    /// Received ranges above the acknowledgment number, by start.
    held: BTreeMap<u32, u32>,
    acked: u32,
    newest: u32,
}

impl Peer {
    fn receive(&mut self, range: &Range<u32>) -> (u32, Vec<Range<u32>>) {
        let duplicate = range.end <= self.acked
            || self.held.iter().any(|(left, right)| *left <= range.start && range.end <= *right);
        if !duplicate {
            self.insert(range.clone());
            self.newest = range.start;
        }
        let mut blocks: Vec<_> = self.held.iter().map(|(left, right)| *left..*right).collect();
        blocks.sort_by_key(|block| !block.contains(&self.newest));
        if duplicate {
            blocks.insert(0, range.clone());
        }
        blocks.truncate(4);
        (self.acked, blocks)
    }

    fn insert(&mut self, mut range: Range<u32>) {
        while let Some((left, right)) = self.touching(&range) {
            self.held.remove(&left);
            range = range.start.min(left)..range.end.max(right);
        }
        if range.start <= self.acked {
            self.acked = self.acked.max(range.end);
        } else {
            self.held.insert(range.start, range.end);
        }
        while let Some((left, right)) = self.held.first_key_value().map(|(l, r)| (*l, *r)) {
            if left > self.acked {
                break;
            }
            self.held.remove(&left);
            self.acked = self.acked.max(right);
        }
    }

    fn touching(&self, range: &Range<u32>) -> Option<(u32, u32)> {
        let found =
            self.held.iter().find(|(left, right)| **left <= range.end && range.start <= **right);
        found.map(|(left, right)| (*left, *right))
    }
}

/// The sender's knowledge about one segment.
#[derive(Clone, Copy)]
struct Knowledge {
    sent_ms: u64,
    times: u32,
    is_acked: bool,
}

struct RandomLoss {
    t: Script,
    rng: Rng,
    loss: f64,
    peer: Peer,
    ms: u64,
    in_transit: BTreeMap<(u64, u64), Packet>,
    count: u64,
    /// Segments by start.
    known: BTreeMap<u32, (u32, Knowledge)>,
    /// Latest send time of the segments sent once and known to have arrived.
    newest_ms: u64,
    timeouts: u32,
    probes: u32,
    unexplained: BTreeSet<u64>,
    /// Starts of the segments whose first transmission is lost.
    dropped: BTreeSet<u32>,
    /// True if the program also pauses between writes.
    pauses: bool,
}

impl RandomLoss {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let settings = Settings {
            send_buffer: 200_000,
            rto_max: Duration::from_secs(5),
            give_up_after: Duration::from_secs(3600),
            ..plain()
        };
        Self {
            t: opened(settings),
            loss: 0.35 * rng.unit(),
            peer: Peer { acked: 1, ..Peer::default() },
            rng,
            ms: 0,
            in_transit: BTreeMap::new(),
            count: 0,
            known: BTreeMap::new(),
            newest_ms: 0,
            timeouts: 0,
            probes: 0,
            unexplained: BTreeSet::new(),
            dropped: BTreeSet::new(),
            pauses: true,
        }
    }

    fn send(&mut self, cargo: Packet) {
        self.count += 1;
        if !self.rng.happens(self.loss) {
            self.in_transit.insert((self.ms + RTT_MS / 2, self.count), cargo);
        }
    }

    fn take_sent(&mut self) {
        for s in self.t.sent() {
            let (range, ms) = (s.seq..s.seq + s.len, self.ms);
            let entry = self
                .known
                .entry(range.start)
                .or_insert((range.end, Knowledge { sent_ms: ms, times: 0, is_acked: false }));
            entry.0 = entry.0.max(range.end);
            entry.1.sent_ms = ms;
            entry.1.times += 1;
            if entry.1.times > 1 || !self.dropped.contains(&range.start) {
                self.send(Packet::Data(range));
            }
        }
    }

    fn deliver_ack(&mut self, acked: u32, blocks: &[Range<u32>]) {
        let Self { known, newest_ms, .. } = self;
        for (start, (end, known)) in known.iter_mut() {
            let is_acked =
                *end <= acked || blocks.iter().any(|b| b.start <= *start && *end <= b.end);
            if is_acked && !known.is_acked && known.times == 1 {
                *newest_ms = known.sent_ms.max(*newest_ms);
            }
            known.is_acked |= is_acked;
        }
        let mut segment = ack(acked);
        for block in blocks {
            segment = segment.sack(block.clone());
        }
        let _ = self.t.receives(segment);
    }

    /// Checks that a timeout was necessary: no data sent after a missing segment is known to have
    /// arrived. `waiting` bytes are exempt: they are known to be lost and wait for congestion
    /// control.
    fn check_timeout(&mut self, waiting: u32) {
        let window = RTT_MS / 4 + 1;
        let (newest, ms) = (self.newest_ms, self.ms);
        let overdue = |known: &Knowledge| {
            !known.is_acked && known.sent_ms < newest && known.sent_ms + RTT_MS + window < ms
        };
        let missed = self.known.values().filter(|(_, known)| overdue(known)).count();
        if missed as u32 * 1000 > waiting {
            self.unexplained.insert(ms);
        }
    }

    fn step(&mut self) {
        self.take_sent();
        let before = self.t.c.timeouts();
        let waiting = self.t.c.info(&self.t.settings).repairs.waiting;
        // A timeout may occur in this millisecond: check_timeout it by the knowledge before.
        let due = self.t.deadline_ms().is_some_and(|ms| ms <= 1);
        let missing = if due { self.known.clone() } else { BTreeMap::new() };
        self.t.after_ms(1);
        self.ms += 1;
        if self.t.c.timeouts() > before {
            self.timeouts += 1;
            let now = core::mem::replace(&mut self.known, missing);
            self.check_timeout(waiting);
            self.known = now;
        }
        self.take_sent();
        while let Some(entry) = self.in_transit.first_entry().filter(|e| e.key().0 <= self.ms) {
            match entry.remove() {
                Packet::Data(range) => {
                    let (acked, blocks) = self.peer.receive(&range);
                    self.send(Packet::Ack(acked, blocks));
                }
                Packet::Ack(acked, blocks) => self.deliver_ack(acked, &blocks),
            }
        }
    }

    fn run(&mut self, segments: u32) {
        for _ in 0..segments {
            assert_eq!(self.t.writes(1000), 1000);
            if self.pauses && self.rng.happens(0.2) {
                for _ in 0..self.rng.below(300) {
                    self.step();
                }
            }
        }
        let end = 1 + segments * 1000;
        let limit = self.ms + 600_000;
        while self.t.c.snd.una.distance_from(self.t.iss()) < end {
            self.step();
            assert!(self.ms < limit, "no progress");
        }
        assert_eq!(self.peer.acked, end);
        self.probes += self.t.c.recovery.flight.as_deref().map_or(0, |f| f.counts.probes);
    }
}

#[test]
fn under_random_loss_everything_arrives_and_each_timeout_is_necessary() {
    // RFC 8985 §6.2 step 5: RACK detects losses by later segments that have arrived.
    let (mut timeouts, mut probes) = (0, 0);
    for seed in 0..150 {
        let mut world = RandomLoss::new(seed);
        world.run(20 + seed as u32 % 60);
        assert!(world.unexplained.is_empty(), "seed {seed}: at {:?} ms", world.unexplained);
        timeouts += world.timeouts;
        probes += world.probes;
    }
    assert!(timeouts > 50 && probes > 50, "{timeouts} timeouts, {probes} probes");
}

#[test]
fn lost_originals_before_the_last_flight_need_no_timeout() {
    // RFC 8985 §1: RACK detects them. The end of a transfer that is lost during recovery has no
    // probe (§7.2) and no later segment.
    for seed in 0..60 {
        let mut world = RandomLoss::new(seed);
        world.loss = 0.0;
        world.pauses = false;
        let starts = (0..28).map(|n| 1 + n * 1000);
        world.dropped = starts.filter(|_| world.rng.happens(0.1)).collect();
        world.run(40);
        assert_eq!(world.timeouts, 0, "seed {seed}: {:?}", world.dropped);
    }
}
