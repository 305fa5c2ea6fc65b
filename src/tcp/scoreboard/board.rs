//! The scoreboard: state of each outstanding segment, which is SACKed, lost or retransmitted (RFC
//! 2018 §5, RFC 6675 §3, RFC 8985 §5.1).
//!
//! Owns the records, in a ring in sequence order, and the byte count of each state. Does not decide
//! that a segment is lost: RACK does. An ACK costs O(log n) for each block and amortized O(1) for
//! each segment that it delivers, whatever the window and whatever the peer claims. Invariants: the
//! records cover SND.UNA to SND.NXT without a gap; a record is in `lost` if it waits for
//! retransmission, in `sent` if it neither waits nor is SACKed, in no list if it is SACKed.

use super::queue::{NONE, Queue, Record, Records, State};
use crate::tcp::SeqNum;
use crate::tcp::rate::RateStamp;

/// Maximum segments in flight: 190 MB of full ones. With a higher limit, a program that writes
/// single bytes without Nagle's algorithm could use unbounded memory; with a lower one, paths with
/// a large bandwidth-delay product starve.
const RECORDS_MAX: usize = 1 << 17;

/// Maximum segments within the reordering window that one ACK examines to find the last one. If
/// there are more, the timer expires once more.
const LOOKED_AT_MAX: usize = 32;

/// Scoreboard of one connection.
#[derive(Debug)]
pub(in crate::tcp) struct Scoreboard {
    pub(super) records: Records,
    /// Start of the first record.
    pub(super) una: SeqNum,
    /// Segments in flight, ordered by last transmission.
    pub(super) sent: Queue,
    /// Segments that wait for retransmission.
    pub(super) lost: Queue,
    /// Bytes in flight (RFC 6675 §4).
    pub(super) pipe: u32,
    /// Bytes SACKed.
    pub(super) selected: u32,
    /// Records SACKed in whole.
    pub(super) selected_records: u32,
    /// Bytes that wait for retransmission.
    pub(super) waiting: u32,
}

/// A segment, or a part of one, that an ACK delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Delivered {
    /// Sequence number after the last byte.
    pub(in crate::tcp) end: SeqNum,
    /// Last transmission time in microseconds.
    pub(in crate::tcp) sent_us: u32,
    pub(in crate::tcp) stamp: RateStamp,
    /// Bytes newly known to have arrived.
    pub(in crate::tcp) len: u32,
    /// True if it was sent more than once.
    pub(in crate::tcp) resent: bool,
    /// True if the whole segment is known to have arrived.
    pub(in crate::tcp) whole: bool,
}

/// Counts of outstanding segments by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Tally {
    pub(in crate::tcp) segments: u32,
    /// SACKed.
    pub(in crate::tcp) selected: u32,
    /// Marked as lost, retransmitted or not.
    pub(in crate::tcp) lost: u32,
    /// Retransmitted.
    pub(in crate::tcp) again: u32,
}

/// A segment, or the missing part of one.
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

    /// Clears the scoreboard; the next data starts at `una`.
    pub(in crate::tcp) fn restart(&mut self, una: SeqNum) {
        self.records.clear();
        self.una = una;
        (self.sent, self.lost) = (Queue::EMPTY, Queue::EMPTY);
        (self.pipe, self.selected, self.selected_records, self.waiting) = (0, 0, 0, 0);
    }

    pub(in crate::tcp) fn room(&self) -> usize {
        self.records.room()
    }

    /// Returns the number of records examined so far.
    #[cfg(test)]
    pub(in crate::tcp) fn looks(&self) -> u64 {
        self.records.looks.get()
    }

    /// Returns the estimated bytes in the network, each copy counted (RFC 6675 §4).
    #[inline]
    pub(in crate::tcp) const fn pipe(&self) -> u32 {
        self.pipe
    }

    /// Returns the bytes SACKed.
    #[inline]
    pub(in crate::tcp) const fn selected(&self) -> u32 {
        self.selected
    }

    /// Returns RACK.segs_sacked (RFC 8985 §5.2).
    #[inline]
    pub(in crate::tcp) const fn selected_segments(&self) -> u32 {
        self.selected_records
    }

    /// Returns the lost bytes that wait for retransmission.
    #[inline]
    pub(in crate::tcp) const fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Returns true if another segment can be recorded.
    #[inline]
    pub(in crate::tcp) fn has_room(&self) -> bool {
        self.records.len() < RECORDS_MAX
    }

    /// Returns true if the first segment is SACKed (RFC 2018 §8, RFC 6675 §5.1). A cumulative ACK
    /// that stays below it shows that the peer has discarded it.
    pub(in crate::tcp) fn is_reneged(&self) -> bool {
        self.records.first().is_some_and(|first| first.state.has(State::SELECTED))
    }

    /// Records new data up to `end` as sent.
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

    /// Marks the segment that ends at `end` as the last of a push or of a burst.
    pub(in crate::tcp) fn on_pushed(&mut self, end: SeqNum, is_push: bool) {
        let position = self.records.find(end - 1);
        if let Some(record) = self.records.at_mut(position) {
            record.state.insert(if is_push { State::PUSHED } else { State::ENDS_BURST });
        }
    }

    /// Returns true if the retransmission at `now_us` of the segment that holds `seq` and ends at
    /// `end` needs PSH: the segment ended a push, or it is the last of several segments of a burst
    /// that are retransmitted together.
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

    /// Counts the segments by state, for information.
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

    /// Shrinks the ring when nothing is in flight.
    pub(in crate::tcp) fn rest(&mut self) {
        self.records.shrink();
    }

    /// Records a retransmission of the missing part of the segment that holds `seq`, up to `end`.
    /// `end` may exceed SND.NXT if new data joins the last segment. Into a shrunken window, the
    /// first segment may be sent in part: it is split.
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

    /// Splits the first segment at `end`.
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

    /// Returns the segment in flight that was sent longest ago.
    #[inline]
    pub(in crate::tcp) fn oldest_sent(&self) -> Option<Piece> {
        (self.sent.head != NONE).then(|| self.piece(self.records.position(self.sent.head)))?
    }

    /// Returns the time in microseconds of the most recent transmission in flight.
    #[inline]
    pub(in crate::tcp) fn newest_sent_us(&self) -> Option<u32> {
        (self.sent.tail != NONE).then(|| self.records.get(self.sent.tail))?.map(|r| r.sent_us)
    }

    /// Returns the last segment in flight, in transmission order, before `test` fails. Examines
    /// only a few, since a peer could otherwise force a scan of all.
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

    /// Returns the segment that starts at SND.UNA.
    pub(in crate::tcp) fn first(&self) -> Option<Piece> {
        if self.records.len() == 0 { None } else { self.segment(0) }
    }

    /// Returns the segment that ends at SND.NXT.
    pub(in crate::tcp) fn last(&self) -> Option<Piece> {
        self.segment(self.records.len().checked_sub(1)?)
    }

    #[inline]
    pub(in crate::tcp) fn start_of(&self, position: usize) -> SeqNum {
        let before = position.checked_sub(1).and_then(|before| self.records.at(before));
        before.map_or(self.una, |before| before.end)
    }

    /// Returns the SACKed bytes of a segment.
    #[inline]
    pub(in crate::tcp) fn known(&self, position: usize) -> u32 {
        let Some(record) = self.records.at(position) else { return 0 };
        if record.state.has(State::SELECTED) {
            return record.end.distance_from(self.start_of(position));
        }
        u32::from(record.head) + u32::from(record.tail)
    }

    /// Returns the range to retransmit for a segment. It extends to the end of the segment, even if
    /// that part has arrived, so the copy ends where the original did.
    pub(in crate::tcp) fn segment(&self, position: usize) -> Option<Piece> {
        let end = self.records.at(position)?.end;
        self.piece(position).map(|piece| Piece { end, ..piece })
    }

    /// Returns the missing part of a segment.
    pub(in crate::tcp) fn piece(&self, position: usize) -> Option<Piece> {
        let record = self.records.at(position)?;
        let seq = self.start_of(position) + u32::from(record.head);
        let end = record.end - u32::from(record.tail);
        Some(Piece { seq, end, sent_us: record.sent_us, stamp: record.stamp })
    }

    /// Removes a segment from its list and from the counts.
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

    /// Returns the bytes of a segment that count for `pipe` and for `waiting`.
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
