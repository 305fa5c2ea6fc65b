//! What was sent again lately: so that a report of a duplicate can be told from one that the network made
//! (RFC 3708 §3).
//!
//! Owns a short history, the last few. Refuses to know what follows from it.

use crate::tcp::SeqNum;

/// So many are remembered. Fewer, and a burst of losses leaves us without evidence; more, and looking for
/// one takes longer than it is worth.
const KEPT: usize = 16;

/// The last segments that were sent again.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Repeats {
    /// From where to where; a place not yet used holds nothing.
    kept: [(SeqNum, SeqNum); KEPT],
    /// The place that is used next.
    next: u8,
    /// Where the highest ends of those that are forgotten.
    forgotten: Option<SeqNum>,
}

/// What the history says of a sequence range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Sent {
    /// It was sent again once.
    Again,
    /// It was sent again more than once.
    Often,
    /// It was not sent again: who has it twice has it from the network.
    Once,
    /// Nobody knows any more.
    Unknown,
}

impl Repeats {
    /// The segment from `seq` to `end` is sent again.
    pub(in crate::tcp) fn push(&mut self, seq: SeqNum, end: SeqNum) {
        let place = usize::from(self.next);
        let (from, to) = core::mem::replace(&mut self.kept[place], (seq, end));
        if from != to {
            self.forgotten = Some(self.forgotten.map_or(to, |known| known.latest(to)));
        }
        self.next = ((place + 1) % KEPT) as u8;
    }

    /// How often something of `left..right` was sent again.
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
    fn the_history_tells_once_from_again_from_often() {
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
    fn what_is_forgotten_is_not_known_to_have_been_sent_once() {
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
