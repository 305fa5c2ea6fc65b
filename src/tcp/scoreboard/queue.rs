//! Records of segments, and the lists that link them: those under way in the order in which they were last
//! sent, and those lost that wait to be sent again, in the order of the sequence.
//!
//! Owns the links. A record is in one list at most; refuses to know why.

use std::collections::VecDeque;

use crate::tcp::SeqNum;
use crate::tcp::rate::RateStamp;

/// No record.
pub(in crate::tcp) const NONE: u32 = u32::MAX;

/// Numbers of records wrap here, so that none is [`NONE`].
const MASK: u32 = u32::MAX >> 1;

/// How far a lost record is moved to its place among the others. Losses are found nearly in order, so it
/// is at the end or the beginning; what a peer makes us find in any other order must not cost more.
const STEPS_MAX: usize = 32;

/// Records that a connection with nothing in flight keeps room for.
const RESTING: usize = 16;

/// One segment in flight.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Record {
    /// After its last sequence number; it begins where the one before ends.
    pub(in crate::tcp) end: SeqNum,
    /// When it was last sent, microseconds modulo 2^32.
    pub(in crate::tcp) sent_us: u32,
    pub(in crate::tcp) stamp: RateStamp,
    /// In a list: the record after it. Selected: a record after it, all between being selected too.
    pub(in crate::tcp) next: u32,
    pub(in crate::tcp) prev: u32,
    /// Selectively acknowledged at its beginning …
    pub(in crate::tcp) head: u16,
    /// … and at its end, when only part of it is: bytes.
    pub(in crate::tcp) tail: u16,
    pub(in crate::tcp) state: State,
}

/// What is known of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct State(u8);

impl State {
    /// Selectively acknowledged.
    pub(in crate::tcp) const SELECTED: Self = Self(1);
    /// What was sent first is lost.
    pub(in crate::tcp) const LOST: Self = Self(2);
    /// A copy is under way that was sent later.
    pub(in crate::tcp) const AGAIN: Self = Self(4);
    /// It was sent more than once.
    pub(in crate::tcp) const RESENT: Self = Self(8);
    /// It was sent as the last of what was pushed.
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

    /// Lost, and not sent again.
    pub(in crate::tcp) const fn waits(self) -> bool {
        self.0 & (Self::SELECTED.0 | Self::LOST.0 | Self::AGAIN.0) == Self::LOST.0
    }

    /// How many of its copies are under way.
    pub(in crate::tcp) const fn copies(self) -> u32 {
        if self.has(Self::SELECTED) {
            return 0;
        }
        !self.has(Self::LOST) as u32 + self.has(Self::AGAIN) as u32
    }
}

/// The records, in the order of the sequence. Each has a number that stays its own until it is gone.
#[derive(Debug, Default)]
pub(in crate::tcp) struct Records {
    ring: VecDeque<Record>,
    /// The number of the first.
    base: u32,
    /// How many records were looked at: what an ACK costs.
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

    /// The number of the record at `position`.
    pub(in crate::tcp) const fn number(&self, position: usize) -> u32 {
        self.base.wrapping_add(position as u32) & MASK
    }

    /// Where record `number` stands; past the end if there is none any more.
    pub(in crate::tcp) const fn position(&self, number: u32) -> usize {
        (number.wrapping_sub(self.base) & MASK) as usize
    }

    /// Counts in tests what is looked at.
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

    /// Gives memory back, if it is much.
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

    /// The position of the first record that ends after `seq`.
    pub(in crate::tcp) fn find(&self, seq: SeqNum) -> usize {
        self.look(self.ring.len().checked_ilog2().unwrap_or(0) + 1);
        self.ring.partition_point(|record| record.end.at_or_before(seq))
    }

    /// The first position from `position` on that is not selected. Chains of what is selected are cut
    /// short on the way, so that a block that is told again and again costs O(log n), amortized.
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

    /// Puts a record at the end.
    pub(in crate::tcp) fn push_back(&mut self, records: &mut Records, number: u32) {
        self.insert_after(records, self.tail, number);
    }

    /// Puts a record at the beginning.
    pub(in crate::tcp) fn push_front(&mut self, records: &mut Records, number: u32) {
        self.insert_after(records, NONE, number);
    }

    /// Puts a record in its place in the order of the sequence, or near it.
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

    /// Takes a record out.
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
