//! History of recent retransmissions, to distinguish our own duplicates from those that the network
//! created (RFC 3708 §3).
//!
//! Owns the last few entries. The consequences are the caller's part.

use crate::tcp::SeqNum;

/// Entries in the history. With fewer, a burst of losses leaves no evidence; with more, a look-up
/// takes longer than it is worth.
const KEPT: usize = 16;

/// The most recent retransmissions.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Repeats {
    /// Sequence ranges, start and end; an unused entry is empty.
    kept: [(SeqNum, SeqNum); KEPT],
    /// Index of the next entry to write.
    next: u8,
    /// Highest end of the overwritten entries.
    forgotten: Option<SeqNum>,
}

/// Number of retransmissions of a sequence range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Sent {
    /// Retransmitted once.
    Again,
    /// Retransmitted more than once.
    Often,
    /// Never retransmitted: the network duplicated it.
    Once,
    /// The history no longer covers the range.
    Unknown,
}

impl Repeats {
    /// Records the retransmission of `seq..end`.
    pub(in crate::tcp) fn push(&mut self, seq: SeqNum, end: SeqNum) {
        let place = usize::from(self.next);
        let (from, to) = core::mem::replace(&mut self.kept[place], (seq, end));
        if from != to {
            self.forgotten = Some(self.forgotten.map_or(to, |known| known.latest(to)));
        }
        self.next = ((place + 1) % KEPT) as u8;
    }

    /// Returns the number of retransmissions within `left..right`.
    pub(in crate::tcp) fn look_up(&self, left: SeqNum, right: SeqNum) -> Sent {
        let holds = |at: SeqNum| {
            self.kept.iter().filter(|(seq, end)| seq.at_or_before(at) && at.before(*end)).count()
        };
        if self.kept.iter().any(|&(seq, end)| seq.before(right) && left.before(end)) {
            let often = holds(left) > 1 || holds(right - 1) > 1;
            return if often { Sent::Often } else { Sent::Again };
        }
        let known = self.forgotten.is_none_or(|end| left.at_or_after(end));
        if known { Sent::Once } else { Sent::Unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seg(n: u32) -> (SeqNum, SeqNum) {
        (SeqNum(n * 10), SeqNum(n * 10 + 10))
    }

    fn look(repeats: &Repeats, n: u32) -> Sent {
        let (left, right) = seg(n);
        repeats.look_up(left, right)
    }

    #[test]
    fn the_history_counts_the_retransmissions_of_a_range() {
        // RFC 3708 §3 (A.2), (A.3), (A.4)
        let mut repeats = Repeats::default();
        for n in [3, 5, 5] {
            let (seq, end) = seg(n);
            repeats.push(seq, end);
        }
        assert_eq!([4, 3, 5].map(|n| look(&repeats, n)), [Sent::Once, Sent::Again, Sent::Often]);
        let (left, right) = (SeqNum(20), SeqNum(50));
        assert_eq!(repeats.look_up(left, right), Sent::Again, "two segments in one report");
    }

    #[test]
    fn an_overwritten_entry_is_unknown_not_never_retransmitted() {
        let mut repeats = Repeats::default();
        for n in 0..100 {
            let (seq, end) = seg(n);
            repeats.push(seq, end);
        }
        assert_eq!(look(&repeats, 99), Sent::Again);
        assert_eq!(look(&repeats, 84), Sent::Again);
        assert_eq!(look(&repeats, 83), Sent::Unknown);
        assert_eq!(look(&repeats, 100), Sent::Once);
    }
}
