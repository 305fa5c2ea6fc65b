//! The scoreboard: of each segment in flight whether it was selectively acknowledged, lost, sent again
//! (RFC 2018 §5, RFC 6675 §3, RFC 8985 §5.1).
//!
//! Owns the records, in a ring in the order of the sequence, and how many bytes are in which state.
//! Refuses to know when a segment is lost: RACK tells it. The cost of an ACK is O(log n) for each block,
//! and amortized O(1) for each segment that it delivers, whatever the window and whatever the peer claims.
//! Invariants: the records cover SND.UNA to SND.NXT without a gap; a record is in `sent` if it is neither
//! selected nor waits to be sent again, in `lost` if it waits, in neither if it is selected.

use super::queue::{NONE, Queue, Record, Records, State};
use crate::tcp::SeqNum;
use crate::tcp::rate::RateStamp;

/// Segments in flight at most: 190 MB of full ones. More, and a program that writes byte by byte without
/// Nagle's algorithm could take memory without bound; fewer, and long fat paths starve.
const RECORDS_MAX: usize = 1 << 17;

/// Segments within the reordering window that one ACK looks at to find the last of them. Where there are
/// more, the timer expires once more.
const LOOKED_AT_MAX: usize = 32;

/// The scoreboard of one connection.
#[derive(Debug)]
pub(in crate::tcp) struct Scoreboard {
    pub(super) records: Records,
    /// Where the first record begins.
    pub(super) una: SeqNum,
    /// Under way, in the order in which they were last sent.
    pub(super) sent: Queue,
    /// Waiting to be sent again.
    pub(super) lost: Queue,
    /// RFC 6675 §4: bytes that are under way.
    pub(super) pipe: u32,
    /// Bytes selectively acknowledged.
    pub(super) selected: u32,
    /// Records selectively acknowledged in whole.
    pub(super) selected_records: u32,
    /// Bytes waiting to be sent again.
    pub(super) waiting: u32,
}

/// A segment that an ACK tells has arrived, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Delivered {
    /// After its last sequence number.
    pub(in crate::tcp) end: SeqNum,
    /// When it was last sent, microseconds.
    pub(in crate::tcp) sent_us: u32,
    pub(in crate::tcp) stamp: RateStamp,
    /// Sequence numbers that were not known to have arrived before.
    pub(in crate::tcp) len: u32,
    /// Whether it was sent more than once.
    pub(in crate::tcp) resent: bool,
    /// Whether the rest of it was known before, or is told by the same ACK.
    pub(in crate::tcp) whole: bool,
}

/// Segments in flight, by what is known of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Tally {
    pub(in crate::tcp) segments: u32,
    /// Selectively acknowledged.
    pub(in crate::tcp) selected: u32,
    /// Taken for lost, sent again or not.
    pub(in crate::tcp) lost: u32,
    /// Sent again.
    pub(in crate::tcp) again: u32,
}

/// A segment, or what is missing of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Piece {
    pub(in crate::tcp) seq: SeqNum,
    pub(in crate::tcp) end: SeqNum,
    pub(in crate::tcp) sent_us: u32,
    pub(in crate::tcp) stamp: RateStamp,
}

impl Scoreboard {
    pub(in crate::tcp) fn new() -> Self {
        Self {
            records: Records::default(),
            una: SeqNum(0),
            sent: Queue::EMPTY,
            lost: Queue::EMPTY,
            pipe: 0,
            selected: 0,
            selected_records: 0,
            waiting: 0,
        }
    }

    /// Nothing is in flight.
    pub(in crate::tcp) fn restart(&mut self, una: SeqNum) {
        self.records.clear();
        self.una = una;
        (self.sent, self.lost) = (Queue::EMPTY, Queue::EMPTY);
        (self.pipe, self.selected, self.selected_records, self.waiting) = (0, 0, 0, 0);
    }

    pub(in crate::tcp) fn room(&self) -> usize {
        self.records.room()
    }

    /// How many records were looked at so far.
    #[cfg(test)]
    pub(in crate::tcp) fn looks(&self) -> u64 {
        self.records.looks.get()
    }

    /// RFC 6675 §4: what the sender believes to be in the network, copies counted.
    #[inline]
    pub(in crate::tcp) const fn pipe(&self) -> u32 {
        self.pipe
    }

    /// Bytes selectively acknowledged.
    #[inline]
    pub(in crate::tcp) const fn selected(&self) -> u32 {
        self.selected
    }

    /// RACK.segs_sacked (RFC 8985 §5.2).
    #[inline]
    pub(in crate::tcp) const fn selected_segments(&self) -> u32 {
        self.selected_records
    }

    /// Bytes lost that were not sent again.
    #[inline]
    pub(in crate::tcp) const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Whether another segment may be recorded.
    #[inline]
    pub(in crate::tcp) fn has_room(&self) -> bool {
        self.records.len() < RECORDS_MAX
    }

    /// RFC 2018 §8, RFC 6675 §5.1: whether the first segment is selected. The ACK that leaves it there says
    /// that the peer has thrown it away.
    pub(in crate::tcp) fn is_reneged(&self) -> bool {
        self.records.first().is_some_and(|first| first.state.has(State::SELECTED))
    }

    /// The numbers to `end` are sent for the first time.
    #[inline]
    pub(in crate::tcp) fn on_sent(&mut self, end: SeqNum, now_us: u32, stamp: RateStamp) {
        let start = self.records.last().map_or(self.una, |last| last.end);
        let number = self.records.push(Record {
            end,
            sent_us: now_us,
            stamp,
            next: NONE,
            prev: NONE,
            head: 0,
            tail: 0,
            state: State::default(),
        });
        self.sent.push_back(&mut self.records, number);
        self.pipe += end.distance_from(start);
    }

    /// The segment that ends at `end`, just sent, is the last of what is pushed, or else of a burst.
    pub(in crate::tcp) fn on_pushed(&mut self, end: SeqNum, is_push: bool) {
        let position = self.records.find(end - 1);
        if let Some(record) = self.records.at_mut(position) {
            record.state.insert(if is_push { State::PUSHED } else { State::ENDS_BURST });
        }
    }

    /// Whether the segment that holds `seq` and ends at `end` is to have PSH when it is sent again at
    /// `now_us`: it was the last of what is pushed, or is the last of more than one of a burst that go again
    /// together.
    pub(in crate::tcp) fn is_pushed(&self, seq: SeqNum, end: SeqNum, now_us: u32) -> bool {
        let position = self.records.find(seq);
        let Some(record) = self.records.at(position).filter(|record| record.end == end) else {
            return false;
        };
        let ends = |record: &Record| {
            record.state.has(State::PUSHED) || record.state.has(State::ENDS_BURST)
        };
        let before = position.checked_sub(1).and_then(|before| self.records.at(before));
        let follows = before.is_some_and(|before| {
            before.state.has(State::AGAIN) && before.sent_us == now_us && !ends(before)
        });
        let stays = self.records.at(position + 1).is_none_or(|after| !after.state.waits());
        record.state.has(State::PUSHED) || follows && (ends(record) || stays)
    }

    /// What is known of the segments: for information.
    pub(in crate::tcp) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for record in (0..self.records.len()).filter_map(|at| self.records.at(at)) {
            let state = record.state;
            tally.segments += 1;
            if state.has(State::SELECTED) {
                tally.selected += 1;
                continue;
            }
            tally.lost += u32::from(state.has(State::LOST));
            tally.again += u32::from(state.has(State::AGAIN));
        }
        tally
    }

    /// Nothing is in flight any more, and the ring is not worth its memory.
    pub(in crate::tcp) fn rest(&mut self) {
        self.records.shrink();
    }

    /// What is missing of the segment that holds `seq` is sent again, to `end`; past SND.NXT, if new data
    /// joins the last one. The first segment may be sent in part, into a window that shrank: it is split.
    pub(in crate::tcp) fn on_retransmitted(
        &mut self,
        seq: SeqNum,
        end: SeqNum,
        now_us: u32,
        stamp: RateStamp,
    ) {
        let position = self.records.find(seq);
        let Some(record) = self.records.at(position) else { return };
        if record.state.has(State::SELECTED) {
            return;
        }
        if end.before(record.end - u32::from(record.tail)) {
            if position > 0 || record.head > 0 {
                return;
            }
            self.split_first(end);
        }
        let number = self.records.number(position);
        self.unlink(position);
        if let Some(record) = self.records.at_mut(position) {
            record.end = record.end.latest(end);
            record.sent_us = now_us;
            record.stamp = stamp;
            record.state.insert(State::AGAIN);
            record.state.insert(State::RESENT);
        }
        self.sent.push_back(&mut self.records, number);
        self.count(position);
    }

    /// The first segment ends at `end` from now on, and the rest of it is one of its own.
    fn split_first(&mut self, end: SeqNum) {
        let Some(first) = self.records.first().copied() else { return };
        self.unlink(0);
        let rest = self.records.number(0);
        let number = self.records.push_front(Record { end, tail: 0, ..first });
        for (position, number) in [(1, rest), (0, number)] {
            let list = if first.state.waits() { &mut self.lost } else { &mut self.sent };
            list.push_front(&mut self.records, number);
            self.count(position);
        }
    }

    /// The segment under way that was sent longest ago.
    #[inline]
    pub(in crate::tcp) fn oldest_sent(&self) -> Option<Piece> {
        (self.sent.head != NONE).then(|| self.piece(self.records.position(self.sent.head)))?
    }

    /// When the segment under way that was sent last was sent, microseconds.
    #[inline]
    pub(in crate::tcp) fn newest_sent_us(&self) -> Option<u32> {
        (self.sent.tail != NONE).then(|| self.records.get(self.sent.tail))?.map(|r| r.sent_us)
    }

    /// Of those under way, in the order in which they were sent, the last before `test` fails; not further
    /// than a few, since a peer could make us look at all of them.
    pub(in crate::tcp) fn last_sent_while(&self, test: impl Fn(&Piece) -> bool) -> Option<Piece> {
        let mut last = None;
        let mut number = self.sent.head;
        for _ in 0..LOOKED_AT_MAX {
            let Some(record) = self.records.get(number).filter(|_| number != NONE) else { break };
            match self.piece(self.records.position(number)).filter(&test) {
                Some(piece) => last = Some(piece),
                None => break,
            }
            number = record.next;
        }
        last
    }

    /// The segment that begins at SND.UNA.
    pub(in crate::tcp) fn first(&self) -> Option<Piece> {
        if self.records.len() == 0 { None } else { self.segment(0) }
    }

    /// The segment that ends at SND.NXT.
    pub(in crate::tcp) fn last(&self) -> Option<Piece> {
        self.segment(self.records.len().checked_sub(1)?)
    }

    #[inline]
    pub(in crate::tcp) fn start_of(&self, position: usize) -> SeqNum {
        let before = position.checked_sub(1).and_then(|before| self.records.at(before));
        before.map_or(self.una, |before| before.end)
    }

    /// How much of a segment is selectively acknowledged.
    #[inline]
    pub(in crate::tcp) fn known(&self, position: usize) -> u32 {
        let Some(record) = self.records.at(position) else { return 0 };
        if record.state.has(State::SELECTED) {
            return record.end.distance_from(self.start_of(position));
        }
        u32::from(record.head) + u32::from(record.tail)
    }

    /// A segment to be sent again: to its end, though that may have arrived. Peers do not cut segments, and
    /// what goes again is to look as it did.
    pub(in crate::tcp) fn segment(&self, position: usize) -> Option<Piece> {
        let end = self.records.at(position)?.end;
        self.piece(position).map(|piece| Piece { end, ..piece })
    }

    /// What is missing of a segment.
    pub(in crate::tcp) fn piece(&self, position: usize) -> Option<Piece> {
        let record = self.records.at(position)?;
        let seq = self.start_of(position) + u32::from(record.head);
        let end = record.end - u32::from(record.tail);
        Some(Piece { seq, end, sent_us: record.sent_us, stamp: record.stamp })
    }

    /// Takes a segment out of its list and out of the counts.
    #[inline]
    pub(in crate::tcp) fn unlink(&mut self, position: usize) {
        self.uncount(position);
        let number = self.records.number(position);
        let Some(record) = self.records.at(position) else { return };
        if record.state.waits() {
            self.lost.remove(&mut self.records, number);
        } else if !record.state.has(State::SELECTED) {
            self.sent.remove(&mut self.records, number);
        }
    }

    /// The bytes of a segment that count, for each copy, and whether it waits.
    #[inline]
    fn weight(&self, position: usize) -> (u32, u32) {
        let Some(record) = self.records.at(position) else { return (0, 0) };
        let missing = record.end.distance_from(self.start_of(position))
            - u32::from(record.head)
            - u32::from(record.tail);
        let waiting = if record.state.waits() { missing } else { 0 };
        (missing * record.state.copies(), waiting)
    }

    #[inline]
    pub(in crate::tcp) fn uncount(&mut self, position: usize) {
        let (pipe, waiting) = self.weight(position);
        self.pipe -= pipe;
        self.waiting -= waiting;
    }

    #[inline]
    pub(in crate::tcp) fn count(&mut self, position: usize) {
        let (pipe, waiting) = self.weight(position);
        self.pipe += pipe;
        self.waiting += waiting;
    }
}
