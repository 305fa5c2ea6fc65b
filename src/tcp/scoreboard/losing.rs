//! Marking of lost segments for retransmission, and the undo of wrong marks.
//!
//! The decision comes from RACK, a timeout, or a smaller path MTU.

use super::board::{Piece, Scoreboard};
use super::queue::{NONE, Queue, Record, Records, State};
use crate::tcp::SeqNum;

impl Scoreboard {
    /// Marks the segment in flight that was sent longest ago as lost.
    pub(in crate::tcp) fn lose_oldest(&mut self) {
        if self.sent.head != NONE {
            self.lose(self.records.position(self.sent.head));
        }
    }

    /// Marks the first segment as lost (RFC 8985 §6.3).
    pub(in crate::tcp) fn lose_first(&mut self) {
        let open = |first: &Record| !first.state.waits() && !first.state.has(State::SELECTED);
        if self.records.first().is_some_and(open) {
            self.lose(0);
        }
    }

    fn lose(&mut self, position: usize) {
        let number = self.records.number(position);
        self.unlink(position);
        if let Some(record) = self.records.at_mut(position) {
            record.state.insert(State::LOST);
            record.state.remove(State::AGAIN);
        }
        self.lost.insert_in_order(&mut self.records, number);
        self.count(position);
    }

    /// Marks all segments as lost that are not SACKed. SACK marks stay unless the peer has
    /// `reneged`.
    pub(in crate::tcp) fn lose_all(&mut self, reneged: bool) {
        if reneged {
            self.forget_selections();
        }
        (self.sent, self.lost) = (Queue::EMPTY, Queue::EMPTY);
        (self.pipe, self.waiting) = (0, 0);
        for position in 0..self.records.len() {
            let number = self.records.number(position);
            let Some(record) = self.records.at_mut(position) else { return };
            if record.state.has(State::SELECTED) {
                continue;
            }
            record.state.insert(State::LOST);
            record.state.remove(State::AGAIN);
            self.lost.push_back(&mut self.records, number);
            self.count(position);
        }
    }

    /// Clears all SACK marks. RFC 2018 §8: "the data sender SHOULD turn off all of the SACKed bits,
    /// since the timeout might indicate that the data receiver has reneged." The caller rebuilds
    /// all lists.
    fn forget_selections(&mut self) {
        for position in 0..self.records.len() {
            if let Some(record) = self.records.at_mut(position) {
                record.state.remove(State::SELECTED);
                (record.head, record.tail) = (0, 0);
            }
        }
        (self.selected, self.selected_records) = (0, 0);
    }

    /// Clears the lost mark of segments that were not retransmitted yet.
    pub(in crate::tcp) fn unlose(&mut self) {
        // They were sent before all segments in flight.
        while self.lost.tail != NONE {
            let number = self.lost.tail;
            let position = self.records.position(number);
            self.unlink(position);
            if let Some(record) = self.records.at_mut(position) {
                record.state.remove(State::LOST);
            }
            self.sent.push_front(&mut self.records, number);
            self.count(position);
        }
    }

    /// Returns the first segment that waits for retransmission, from its first missing byte.
    #[inline]
    pub(in crate::tcp) fn next_lost(&self) -> Option<Piece> {
        (self.lost.head != NONE).then(|| self.segment(self.records.position(self.lost.head)))?
    }

    /// Returns the sequence range, start and end, of the segments that wait for retransmission.
    pub(in crate::tcp) fn lost_span(&self) -> Option<(SeqNum, SeqNum)> {
        let first = self.next_lost()?;
        let last = self.piece(self.records.position(self.lost.tail))?;
        Some((first.seq, last.end))
    }

    /// Splits segments longer than `mss`, which the path rejects, and marks all that are not SACKed
    /// as lost.
    pub(in crate::tcp) fn cut(&mut self, mss: u32) {
        let mut cut = Records::default();
        let mut start = self.una;
        for position in 0..self.records.len() {
            let Some(record) = self.records.at(position).copied() else { break };
            self.selected -=
                if record.state.has(State::SELECTED) { 0 } else { self.known(position) };
            while !record.state.has(State::SELECTED) && record.end.distance_from(start) > mss {
                start += mss;
                cut.push(Record { end: start, head: 0, tail: 0, ..record });
            }
            start = record.end;
            cut.push(Record { head: 0, tail: 0, ..record });
        }
        for position in 0..cut.len() {
            let next = cut.number(position + 1);
            if let Some(record) = cut.at_mut(position) {
                record.next = next;
            }
        }
        self.records = cut;
        self.lose_all(false);
    }
}
