//! Compares the scoreboard with a naive per-byte model: both agree whatever the peer sends.

use super::board::{Delivered, Scoreboard};
use crate::rng::Rng;
use crate::tcp::SeqNum;
use crate::tcp::rate::RateStamp;

const MSS: u32 = 10;

/// One segment, tracked per byte.
#[derive(Clone, Debug)]
struct Plain {
    seq: u32,
    selected: Vec<bool>,
    lost: bool,
    again: bool,
    sent_us: u32,
}

impl Plain {
    fn is_selected(&self) -> bool {
        self.selected.iter().all(|byte| *byte)
    }

    fn missing(&self) -> u32 {
        self.selected.iter().filter(|byte| !**byte).count() as u32
    }

    /// Returns the range from the first missing byte to after the last.
    fn piece(&self) -> (u32, u32) {
        let first = self.selected.iter().position(|byte| !byte).unwrap_or(0) as u32;
        let last = self.selected.iter().rposition(|byte| !byte).unwrap_or(0) as u32;
        (self.seq + first, self.seq + last + 1)
    }
}

/// Model of all segments in flight.
#[derive(Default)]
struct Model {
    segments: Vec<Plain>,
    una: u32,
    nxt: u32,
    now_us: u32,
}

impl Model {
    fn acknowledge(&mut self, ack: u32) -> u32 {
        let mut delivered = 0;
        for segment in &mut self.segments {
            let cut = ack.saturating_sub(segment.seq).min(segment.selected.len() as u32);
            let cut_off: Vec<bool> = segment.selected.drain(..cut as usize).collect();
            delivered += cut_off.iter().filter(|byte| !**byte).count() as u32;
            segment.seq += cut;
        }
        self.segments.retain(|segment| !segment.selected.is_empty());
        self.una = self.una.max(ack);
        delivered
    }

    /// A block in the middle of a segment that touches none of its SACKed ends is ignored.
    fn select(&mut self, left: u32, right: u32) -> u32 {
        if left < self.una || left >= right || right > self.nxt {
            return 0;
        }
        let mut delivered = 0;
        for segment in self.segments.iter_mut().filter(|s| !s.is_selected()) {
            let (from, to) = segment.piece();
            let (left, right) = (left.max(from), right.min(to));
            if left < right && (left == from || right == to) {
                for byte in left..right {
                    segment.selected[(byte - segment.seq) as usize] = true;
                    delivered += 1;
                }
            }
        }
        delivered
    }

    fn pipe(&self) -> u32 {
        let copies = |s: &Plain| u32::from(!s.lost) + u32::from(s.again);
        self.segments.iter().map(|s| s.missing() * copies(s)).sum()
    }

    fn waiting(&self) -> u32 {
        self.segments.iter().filter(|s| s.lost && !s.again).map(Plain::missing).sum()
    }

    fn selected(&self) -> u32 {
        self.segments.iter().map(|s| s.selected.len() as u32 - s.missing()).sum()
    }

    fn oldest(&self) -> Option<usize> {
        let under_way = |s: &Plain| !s.is_selected() && (!s.lost || s.again);
        let all = self.segments.iter().enumerate().filter(|(_, s)| under_way(s));
        all.min_by_key(|(_, s)| s.sent_us).map(|(at, _)| at)
    }

    fn next_lost(&self) -> Option<usize> {
        self.segments.iter().position(|s| !s.is_selected() && s.lost && !s.again)
    }
}

/// The scoreboard, its model, and the initial sequence number.
struct Pair {
    board: Scoreboard,
    model: Model,
    iss: u32,
    unlost: bool,
}

impl Pair {
    fn new(iss: u32) -> Self {
        let mut board = Scoreboard::new();
        board.restart(SeqNum(iss));
        Self { board, model: Model::default(), iss, unlost: false }
    }

    fn at(&self, offset: u32) -> SeqNum {
        SeqNum(self.iss.wrapping_add(offset))
    }

    fn send(&mut self, len: u32) {
        let model = &mut self.model;
        model.now_us += 1;
        let selected = vec![false; len as usize];
        let sent_us = model.now_us;
        model.segments.push(Plain { seq: model.nxt, selected, lost: false, again: false, sent_us });
        model.nxt += len;
        self.board.on_sent(self.at(self.model.nxt), sent_us, RateStamp::default());
    }

    fn acknowledge(&mut self, ack: u32) {
        let mut delivered = 0;
        self.board.acknowledge(self.at(ack), |d: Delivered| delivered += d.len);
        assert_eq!(delivered, self.model.acknowledge(ack), "ACK of {ack}");
    }

    fn select(&mut self, left: u32, right: u32) {
        let mut delivered = 0;
        let (from, to) = (self.at(left), self.at(right));
        self.board.select(from, to, |d: Delivered| delivered += d.len);
        assert_eq!(delivered, self.model.select(left, right), "block {left}..{right}");
    }

    fn lose_oldest(&mut self) {
        let oldest = self.board.oldest_sent();
        let at = match self.model.oldest() {
            // After `unlose` the board's order of transmission differs; follow its choice.
            Some(_) if self.unlost => self
                .model
                .segments
                .iter()
                .position(|s| oldest.is_some_and(|piece| piece.end == self.at(s.piece().1))),
            at => at,
        };
        assert_eq!(at.is_some(), oldest.is_some());
        if let Some(at) = at {
            let segment = &mut self.model.segments[at];
            (segment.lost, segment.again) = (true, false);
            self.board.lose_oldest();
        }
    }

    fn resend(&mut self) {
        let at = self.model.next_lost();
        let piece = self.board.next_lost();
        assert_eq!(at.is_some(), piece.is_some());
        let (Some(at), Some(piece)) = (at, piece) else { return };
        self.model.now_us += 1;
        let segment = &mut self.model.segments[at];
        let (from, to) = (segment.piece().0, segment.seq + segment.selected.len() as u32);
        segment.again = true;
        segment.sent_us = self.model.now_us;
        assert_eq!((piece.seq, piece.end), (self.at(from), self.at(to)));
        self.board.on_retransmitted(piece.seq, piece.end, self.model.now_us, RateStamp::default());
    }

    fn lose_all(&mut self, reneged: bool) {
        for segment in &mut self.model.segments {
            if reneged {
                segment.selected.fill(false);
            }
            if !segment.is_selected() {
                (segment.lost, segment.again) = (true, false);
            }
        }
        self.board.lose_all(reneged);
    }

    fn unlose(&mut self) {
        for segment in self.model.segments.iter_mut().filter(|s| s.lost && !s.again) {
            segment.lost = segment.is_selected();
        }
        self.unlost = true;
        self.board.unlose();
    }

    fn check(&self) {
        let (board, model) = (&self.board, &self.model);
        assert_eq!(board.pipe(), model.pipe(), "pipe");
        assert_eq!(board.waiting(), model.waiting(), "waiting");
        assert_eq!(board.selected(), model.selected(), "selected");
        let whole = model.segments.iter().filter(|s| s.is_selected()).count();
        assert_eq!(board.selected_segments() as usize, whole, "segments selected");
        let reneged = model.segments.first().is_some_and(Plain::is_selected);
        assert_eq!(board.is_reneged(), reneged);
    }

    fn step(&mut self, rng: &mut Rng) {
        let (una, nxt) = (self.model.una, self.model.nxt);
        let span = u64::from(nxt - una) + 1;
        match rng.below(12) {
            0..=3 => self.send(1 + rng.below(u64::from(MSS)) as u32),
            4 => self.acknowledge(una + rng.below(span.min(60)) as u32),
            5..=7 => {
                let left = una + rng.below(span) as u32;
                self.select(left, left + rng.below(60) as u32);
            }
            8 => self.lose_oldest(),
            9 | 10 => self.resend(),
            _ if rng.happens(0.1) => self.lose_all(rng.happens(0.5)),
            _ if rng.happens(0.1) => self.unlose(),
            _ => self.select(nxt - rng.below(span) as u32, nxt),
        }
        self.check();
    }
}

#[test]
fn the_scoreboard_agrees_with_a_naive_model_of_bytes() {
    // RFC 2018 §5, RFC 6675 §4, RFC 8985 §4 (1), §6.1
    for seed in 0..2000 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::new(rng.next_u32());
        for _ in 0..300 {
            pair.step(&mut rng);
        }
        pair.acknowledge(pair.model.nxt);
        pair.check();
        assert_eq!(pair.board.pipe(), 0);
    }
}

#[test]
fn lost_segments_are_retransmitted_in_order_and_those_lost_twice_first() {
    let mut pair = Pair::new(u32::MAX - 55);
    (0..10).for_each(|_| pair.send(MSS));
    (0..5).for_each(|_| pair.lose_oldest());
    let next = |pair: &Pair| pair.board.next_lost().map(|p| p.seq.distance_from(pair.at(0)));
    assert_eq!(next(&pair), Some(0));
    pair.resend();
    pair.resend();
    assert_eq!(next(&pair), Some(20));
    (0..6).for_each(|_| pair.lose_oldest());
    assert_eq!(next(&pair), Some(0), "the first again, before those that wait");
}

#[test]
fn a_segment_longer_than_the_path_mtu_is_split() {
    let mut pair = Pair::new(7);
    pair.send(10);
    pair.send(25);
    pair.board.select(SeqNum(7), SeqNum(17), |_| ());
    pair.board.cut(10);
    let mut pieces = Vec::new();
    while let Some(piece) = pair.board.next_lost() {
        pieces.push((piece.seq.0 - 7, piece.end.0 - 7));
        pair.board.on_retransmitted(piece.seq, piece.end, 9, RateStamp::default());
    }
    assert_eq!(pieces, [(10, 20), (20, 30), (30, 35)]);
    assert_eq!((pair.board.pipe(), pair.board.selected()), (25, 10));
}

#[test]
fn a_peer_that_repeats_all_sack_blocks_costs_little() {
    // RFC 2018 §4 repeats each block: SACKed records are skipped in few steps.
    let mut pair = Pair::new(0);
    (0..20_000).for_each(|_| pair.send(1));
    for left in (1..20_000).rev() {
        pair.board.select(SeqNum(left), SeqNum(20_000), |_| ());
    }
    for _ in 0..200_000 {
        pair.board.select(SeqNum(1), SeqNum(20_000), |_| panic!("all is known"));
        pair.board.select(SeqNum(9_999), SeqNum(20_000), |_| panic!("all is known"));
    }
    assert_eq!(pair.board.selected(), 19_999);
}

/// Returns the records that the scoreboard examines per ACK, average and maximum, with `segments`
/// in flight. The first segment is lost, every `spacing`-th of the others arrives, and each ACK
/// reports the newest one and the two before it.
fn looks_of_acks(segments: u32, spacing: u32) -> (u64, u64) {
    let mut board = Scoreboard::new();
    board.restart(SeqNum(0));
    for n in 1..=segments {
        board.on_sent(SeqNum(n * MSS), n, RateStamp::default());
    }
    let (mut sum, mut most, mut acks) = (0, 0, 0);
    for newest in (1..segments).step_by(spacing as usize) {
        let before = board.looks();
        for block in 0..3 {
            let Some(n) = newest.checked_sub(block * spacing).filter(|n| *n > 0) else { break };
            // Without spacing, the blocks form one that grows.
            let left = if spacing == 1 { 1 } else { n };
            board.select(SeqNum(left * MSS), SeqNum((n + 1) * MSS), |_| {});
        }
        while board.oldest_sent().is_some_and(|piece| piece.end.before(SeqNum(newest * MSS))) {
            board.lose_oldest();
        }
        // The first ACKs report fewer blocks.
        if newest > 3 * spacing {
            let looks = board.looks() - before;
            (sum, most, acks) = (sum + looks, most.max(looks), acks + 1);
        }
    }
    (sum / acks, most)
}

#[test]
fn the_cost_of_an_ack_does_not_grow_with_the_window() {
    // RFC 6675 §4 recomputes the pipe for each ACK; the scoreboard examines only what the ACK
    // reports.
    for spacing in [1, 2, 5] {
        let (few, _) = looks_of_acks(100, spacing);
        for segments in [1_000, 100_000] {
            let (average, most) = looks_of_acks(segments, spacing);
            // A binary search finds the start of each of the three blocks.
            let halvings = 3 * u64::from((segments / 100).ilog2() + 1);
            assert!(average <= few + halvings, "{segments}, {spacing}: {few} to {average}");
            assert!(most <= 8 * (few + halvings), "{segments}, {spacing}: {most} of {average}");
        }
    }
}
