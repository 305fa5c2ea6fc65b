//! Segment records and the lists that link them: segments in flight in order of their last
//! transmission, and lost segments that wait for retransmission in sequence order.
//!
//! Owns the links. A record is in at most one list; the reason is the caller's part.

use std::collections::VecDeque;

use crate::tcp::SeqNum;
use crate::tcp::rate::RateStamp;

/// Link that refers to no record.
pub(in crate::tcp) const NONE: u32 = u32::MAX;

/// Record numbers wrap here, so none equals [`NONE`].
const MASK: u32 = u32::MAX >> 1;

/// Maximum steps to find the position of a lost record in the list. Losses are found nearly in
/// order, so the position is at the end or the beginning. The limit bounds the cost if a peer
/// provokes another order.
const STEPS_MAX: usize = 32;

/// Record capacity that a connection with nothing in flight keeps.
const RESTING: usize = 16;

/// One outstanding segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Record {
    /// Sequence number after the last byte; the segment starts where the previous one ends.
    pub(in crate::tcp) end: SeqNum,
    /// Last transmission time in microseconds modulo 2^32.
    pub(in crate::tcp) sent_us: u32,
    pub(in crate::tcp) stamp: RateStamp,
    /// Next record in the list. For a SACKed record: a later record, with only SACKed ones between.
    pub(in crate::tcp) next: u32,
    pub(in crate::tcp) prev: u32,
    /// Bytes SACKed at its beginning, if it is SACKed in part.
    pub(in crate::tcp) head: u16,
    /// Bytes SACKed at its end, if it is SACKed in part.
    pub(in crate::tcp) tail: u16,
    pub(in crate::tcp) state: State,
}

/// State flags of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct State(u8);

impl State {
    /// Selectively acknowledged.
    pub(in crate::tcp) const SELECTED: Self = Self(1);
    /// The original transmission is lost.
    pub(in crate::tcp) const LOST: Self = Self(2);
    /// A retransmission is in flight.
    pub(in crate::tcp) const AGAIN: Self = Self(4);
    /// It was sent more than once.
    pub(in crate::tcp) const RESENT: Self = Self(8);
    /// It was sent as the last of a push.
    pub(in crate::tcp) const PUSHED: Self = Self(16);
    /// It was sent as the last of a burst.
    pub(in crate::tcp) const ENDS_BURST: Self = Self(32);

    pub(in crate::tcp) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(in crate::tcp) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(in crate::tcp) const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Returns true if it is lost and not retransmitted.
    pub(in crate::tcp) const fn waits(self) -> bool {
        self.0 & (Self::SELECTED.0 | Self::LOST.0 | Self::AGAIN.0) == Self::LOST.0
    }

    /// Returns the number of copies in flight.
    pub(in crate::tcp) const fn copies(self) -> u32 {
        if self.has(Self::SELECTED) {
            return 0;
        }
        !self.has(Self::LOST) as u32 + self.has(Self::AGAIN) as u32
    }
}

/// The records in sequence order. Each has a number that is stable for its lifetime.
#[derive(Debug, Default)]
pub(in crate::tcp) struct Records {
    ring: VecDeque<Record>,
    /// Number of the first record.
    base: u32,
    /// Records examined: the cost of an ACK.
    #[cfg(test)]
    pub(in crate::tcp) looks: core::cell::Cell<u64>,
}

impl Records {
    pub(in crate::tcp) fn clear(&mut self) {
        self.ring.clear();
        self.base = 0;
    }

    pub(in crate::tcp) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(in crate::tcp) fn room(&self) -> usize {
        self.ring.capacity()
    }

    /// Returns the number of the record at `position`.
    pub(in crate::tcp) const fn number(&self, position: usize) -> u32 {
        self.base.wrapping_add(position as u32) & MASK
    }

    /// Returns the position of record `number`; past the end if the record is gone.
    pub(in crate::tcp) const fn position(&self, number: u32) -> usize {
        (number.wrapping_sub(self.base) & MASK) as usize
    }

    /// Counts examined records in tests.
    #[inline]
    fn look(&self, records: u32) {
        #[cfg(test)]
        self.looks.set(self.looks.get() + u64::from(records));
        let _ = records;
    }

    pub(in crate::tcp) fn at(&self, position: usize) -> Option<&Record> {
        self.look(1);
        self.ring.get(position)
    }

    pub(in crate::tcp) fn at_mut(&mut self, position: usize) -> Option<&mut Record> {
        self.look(1);
        self.ring.get_mut(position)
    }

    pub(in crate::tcp) fn get(&self, number: u32) -> Option<&Record> {
        self.look(1);
        self.ring.get(self.position(number))
    }

    pub(in crate::tcp) fn get_mut(&mut self, number: u32) -> Option<&mut Record> {
        self.look(1);
        self.ring.get_mut((number.wrapping_sub(self.base) & MASK) as usize)
    }

    pub(in crate::tcp) fn first(&self) -> Option<&Record> {
        self.ring.front()
    }

    pub(in crate::tcp) fn last(&self) -> Option<&Record> {
        self.ring.back()
    }

    pub(in crate::tcp) fn push(&mut self, record: Record) -> u32 {
        self.ring.push_back(record);
        self.number(self.ring.len() - 1)
    }

    pub(in crate::tcp) fn push_front(&mut self, record: Record) -> u32 {
        self.ring.push_front(record);
        self.base = self.base.wrapping_sub(1) & MASK;
        self.base
    }

    /// Frees ring memory beyond the idle capacity.
    pub(in crate::tcp) fn shrink(&mut self) {
        if self.ring.capacity() > RESTING {
            self.ring.shrink_to(RESTING);
        }
    }

    pub(in crate::tcp) fn pop(&mut self) {
        if self.ring.pop_front().is_some() {
            self.base = self.base.wrapping_add(1) & MASK;
        }
    }

    /// Returns the position of the first record that ends after `seq`.
    pub(in crate::tcp) fn find(&self, seq: SeqNum) -> usize {
        self.look(self.ring.len().checked_ilog2().unwrap_or(0) + 1);
        self.ring.partition_point(|record| record.end.at_or_before(seq))
    }

    /// Returns the first position at or after `position` that is not SACKed. Shortens chains of
    /// SACKed records on the way (path halving), so a repeated block costs amortized O(log n).
    pub(in crate::tcp) fn skip_selected(&mut self, mut position: usize) -> usize {
        while let Some(record) = self.at(position).filter(|r| r.state.has(State::SELECTED)) {
            let next = self.position(record.next);
            if let Some(after) =
                self.at(next).filter(|r| r.state.has(State::SELECTED)).map(|r| r.next)
                && let Some(record) = self.at_mut(position)
            {
                record.next = after;
            }
            position = next;
        }
        position
    }
}

/// A doubly linked list of records.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Queue {
    pub(in crate::tcp) head: u32,
    pub(in crate::tcp) tail: u32,
}

impl Queue {
    pub(in crate::tcp) const EMPTY: Self = Self { head: NONE, tail: NONE };

    /// Appends a record.
    pub(in crate::tcp) fn push_back(&mut self, records: &mut Records, number: u32) {
        self.insert_after(records, self.tail, number);
    }

    /// Prepends a record.
    pub(in crate::tcp) fn push_front(&mut self, records: &mut Records, number: u32) {
        self.insert_after(records, NONE, number);
    }

    /// Inserts a record at its position in sequence order, or near it.
    pub(in crate::tcp) fn insert_in_order(&mut self, records: &mut Records, number: u32) {
        let position = records.position(number);
        if self.head != NONE && position < records.position(self.head) {
            return self.push_front(records, number);
        }
        let mut after = self.tail;
        for _ in 0..STEPS_MAX {
            if after == NONE || records.position(after) < position {
                break;
            }
            after = records.get(after).map_or(NONE, |record| record.prev);
        }
        self.insert_after(records, after, number);
    }

    fn insert_after(&mut self, records: &mut Records, after: u32, number: u32) {
        let next = match records.get_mut(after) {
            Some(record) if after != NONE => core::mem::replace(&mut record.next, number),
            _ => core::mem::replace(&mut self.head, number),
        };
        match records.get_mut(next) {
            Some(record) if next != NONE => record.prev = number,
            _ => self.tail = number,
        }
        if let Some(record) = records.get_mut(number) {
            (record.prev, record.next) = (after, next);
        }
    }

    /// Removes a record.
    pub(in crate::tcp) fn remove(&mut self, records: &mut Records, number: u32) {
        let Some(&Record { next, prev, .. }) = records.get(number) else { return };
        match records.get_mut(prev) {
            Some(record) if prev != NONE => record.next = next,
            _ => self.head = next,
        }
        match records.get_mut(next) {
            Some(record) if next != NONE => record.prev = prev,
            _ => self.tail = prev,
        }
    }
}
