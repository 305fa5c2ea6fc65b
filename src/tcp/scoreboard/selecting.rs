//! Updates of the scoreboard by an ACK: the advance of SND.UNA, and the SACK blocks (RFC 2018 §5).
//!
//! Each ACK, new or duplicate, updates it (RFC 6675 §4, §5). Ignores blocks outside of the data in
//! flight.

use super::board::{Delivered, Scoreboard};
use super::queue::{Record, State};
use crate::tcp::SeqNum;

impl Scoreboard {
    /// Sets SND.UNA <- `ack`; calls `each` for every segment that this delivers.
    #[inline]
    pub(in crate::tcp) fn acknowledge(&mut self, ack: SeqNum, mut each: impl FnMut(Delivered)) {
        while let Some(first) = self.records.first().filter(|first| first.end.at_or_before(ack)) {
            let (len, known) = (first.end.distance_from(self.una), self.known(0));
            let delivered = delivered(first, len - known, true);
            let selected = first.state.has(State::SELECTED);
            self.unlink(0);
            self.una = delivered.end;
            self.records.pop();
            self.selected -= known;
            self.selected_records -= u32::from(selected);
            if !selected {
                each(delivered);
            }
        }
        if ack.after(self.una) && self.records.len() > 0 {
            self.acknowledge_part(ack, &mut each);
        }
        self.una = self.una.latest(ack);
    }

    /// Acknowledges a part of the first segment, which the peer or a middlebox has split.
    fn acknowledge_part(&mut self, ack: SeqNum, each: &mut impl FnMut(Delivered)) {
        let (moved, known) = (ack.distance_from(self.una), self.known(0));
        let Some(first) = self.records.first().copied() else { return };
        if first.state.has(State::SELECTED) {
            self.selected -= moved;
            self.una = ack;
            return;
        }
        let len = first.end.distance_from(ack);
        let head = u32::from(first.head).saturating_sub(moved);
        let tail = u32::from(first.tail).min(len - head);
        self.uncount(0);
        self.una = ack;
        if let Some(first) = self.records.at_mut(0) {
            // Neither value grows, so both fit.
            (first.head, first.tail) = (head as u16, tail as u16);
        }
        self.count(0);
        self.selected = self.selected - known + head + tail;
        if head + tail == len {
            self.mark_selected(0);
        }
        each(delivered(&first, moved + head + tail - known, false));
    }

    /// Applies the SACK block `left..right`; calls `each` for every segment that this delivers. RFC
    /// 2018 §3: blocks lie above SND.UNA and below SND.NXT; others are ignored.
    pub(in crate::tcp) fn select(
        &mut self,
        left: SeqNum,
        right: SeqNum,
        mut each: impl FnMut(Delivered),
    ) {
        let nxt = self.records.last().map_or(self.una, |last| last.end);
        let valid = left.at_or_after(self.una) && left.before(right) && right.at_or_before(nxt);
        if !valid {
            return;
        }
        let mut position = self.records.find(left);
        loop {
            position = self.records.skip_selected(position);
            let start = self.start_of(position);
            if position >= self.records.len() || start.at_or_after(right) {
                return;
            }
            self.select_of(position, left, right, &mut each);
            position += 1;
        }
    }

    /// Marks the part of one segment in `left..right` as SACKed.
    fn select_of(
        &mut self,
        position: usize,
        left: SeqNum,
        right: SeqNum,
        each: &mut impl FnMut(Delivered),
    ) {
        let (start, known) = (self.start_of(position), self.known(position));
        let Some(record) = self.records.at(position).copied() else { return };
        let len = record.end.distance_from(start);
        let (mut head, mut tail) = (u32::from(record.head), u32::from(record.tail));
        // A block in the middle of a segment that touches neither end is not recorded. Unless the
        // peer extends it later, the bytes are retransmitted.
        if left.at_or_before(start + head) && right.after(start + head) {
            head = right.earliest(record.end).distance_from(start);
        }
        if right.at_or_after(record.end - tail) && left.before(record.end - tail) {
            tail = record.end.distance_from(left.latest(start));
        }
        let whole = head + tail >= len;
        let now_known = if whole { len } else { head + tail };
        let (Ok(head), Ok(tail)) = (u16::try_from(head.min(len)), u16::try_from(tail.min(len)))
        else {
            return;
        };
        if now_known == known {
            return;
        }
        if whole {
            self.mark_selected(position);
        } else {
            self.uncount(position);
            if let Some(record) = self.records.at_mut(position) {
                (record.head, record.tail) = (head, tail);
            }
            self.count(position);
        }
        self.selected += now_known - known;
        each(delivered(&record, now_known - known, whole));
    }

    fn mark_selected(&mut self, position: usize) {
        self.unlink(position);
        let next = self.records.number(position + 1);
        if let Some(record) = self.records.at_mut(position) {
            record.state.insert(State::SELECTED);
            (record.head, record.tail) = (0, 0);
            record.next = next;
        }
        self.selected_records += 1;
    }
}

#[inline]
fn delivered(record: &Record, len: u32, whole: bool) -> Delivered {
    Delivered {
        end: record.end,
        sent_us: record.sent_us,
        stamp: record.stamp,
        len,
        resent: record.state.has(State::RESENT),
        whole,
    }
}
