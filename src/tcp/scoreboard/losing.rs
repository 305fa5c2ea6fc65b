//! What is taken for lost and waits to be sent again, first to last; and what was so taken wrongly.
//!
//! Refuses to know why: RACK, a timeout, or the path's smaller MTU tells.

use super::board::{Piece, Scoreboard};
use super::queue::{NONE, Queue, Record, Records, State};
use crate::tcp::SeqNum;

impl Scoreboard {
    /// The segment under way that was sent longest ago is lost: it waits to be sent again.
    pub(in crate::tcp) fn lose_oldest(&mut self) {
        if self.sent.head != NONE {
            self.lose(self.records.position(self.sent.head));
        }
    }

    /// RFC 8985 §6.3: the first segment is lost.
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

    /// All that is not selected is lost; what is selected stays so, unless the peer has `reneged`.
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

    /// RFC 2018 §8: "the data sender SHOULD turn off all of the SACKed bits, since the timeout might
    /// indicate that the data receiver has reneged." All lists are to be made anew.
    fn forget_selections(&mut self) {
        for position in 0..self.records.len() {
            if let Some(record) = self.records.at_mut(position) {
                record.state.remove(State::SELECTED);
                (record.head, record.tail) = (0, 0);
            }
        }
        (self.selected, self.selected_records) = (0, 0);
    }

    /// What was taken for lost and is not yet sent again was not lost.
    pub(in crate::tcp) fn unlose(&mut self) {
        // They were sent before all that is under way.
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

    /// The first segment that waits to be sent again, or what is missing of it.
    #[inline]
    pub(in crate::tcp) fn next_lost(&self) -> Option<Piece> {
        (self.lost.head != NONE).then(|| self.segment(self.records.position(self.lost.head)))?
    }

    /// From where to where segments wait to be sent again.
    pub(in crate::tcp) fn lost_span(&self) -> Option<(SeqNum, SeqNum)> {
        let first = self.next_lost()?;
        let last = self.piece(self.records.position(self.lost.tail))?;
        Some((first.seq, last.end))
    }

    /// Cuts what is longer than `mss`, and takes all that is not selected for lost: the path refuses it.
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
