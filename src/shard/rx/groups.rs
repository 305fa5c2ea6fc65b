//! Groups of the segments of a batch: those whose lookup returned the same kind of candidate are
//! processed together.
//!
//! A segment runs different code for an embryo than for a connection, and the mix within a batch is
//! unpredictable. With one kind at a time, branches predict well and the code stays in the
//! instruction cache. Segments of one flow keep their order: their lookups return the same
//! candidate, since nothing is processed in between, and a group keeps the order of arrival. The
//! order between flows does not matter.

use crate::shard::flow::flow_table::{Kind, Place};

/// A segment in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Member {
    /// Position in the batch.
    pub(in crate::shard) at: u32,
    /// Index of its candidate.
    pub(in crate::shard) index: u32,
}

/// The segments of a batch: first those without a candidate, then by the candidate's kind.
#[derive(Debug, Default)]
pub(in crate::shard) struct Groups {
    members: [Vec<Member>; KINDS.len()],
    /// Bitmap of the groups with members. A batch of one frame has one group.
    present: u32,
}

/// Kind of candidate of each group.
const KINDS: [Option<Kind>; 5] = [
    None,
    Some(Kind::Embryo),
    Some(Kind::Connection),
    Some(Kind::TimeWait),
    Some(Kind::TimeWaitTimestamps),
];

impl Groups {
    /// Creates groups with room for `batch` segments each.
    pub(in crate::shard) fn with_capacity(batch: usize) -> Self {
        Self { members: core::array::from_fn(|_| Vec::with_capacity(batch)), present: 0 }
    }

    pub(in crate::shard) fn clear(&mut self) {
        for at in ones(self.present) {
            self.members[at].clear();
        }
        self.present = 0;
    }

    /// Adds the segment at position `at` of the batch.
    #[inline]
    pub(in crate::shard) fn push(&mut self, candidate: Option<Place>, at: u32) {
        let (group, index) = match candidate {
            None => (0, 0),
            Some(place) => (place.kind as usize, place.index),
        };
        self.members[group].push(Member { at, index });
        self.present |= 1 << group;
    }

    /// Returns the groups with members, which are in the order of arrival.
    #[inline]
    pub(in crate::shard) fn iter(&self) -> impl Iterator<Item = (Option<Kind>, &[Member])> {
        ones(self.present).map(|at| (KINDS[at], &self.members[at][..]))
    }
}

/// Returns the positions of the set bits, within the number of groups.
#[inline]
fn ones(mut bits: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let at = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (at < KINDS.len()).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_group_of_its_number() {
        for (at, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind.map_or(0, |kind| kind as usize), at);
        }
    }

    #[test]
    fn each_kind_keeps_the_order_of_arrival() {
        let mut groups = Groups::with_capacity(8);
        for at in 0..20 {
            let kind = KINDS[at * 3 % 5];
            groups.push(kind.map(|kind| Place::new(kind, 100 + at as u32)), at as u32);
        }
        let mut left = groups.iter();
        for (first, kind) in [0, 2, 4, 1, 3].into_iter().zip(KINDS) {
            let members = (0..4).map(|n| first + 5 * n);
            let index = |at| if kind.is_some() { 100 + at } else { 0 };
            let members: Vec<_> = members.map(|at| Member { at, index: index(at) }).collect();
            assert_eq!(left.next(), Some((kind, &members[..])));
        }
        assert_eq!(left.next(), None);
    }

    #[test]
    fn a_group_without_members_is_not_among_them() {
        let mut groups = Groups::with_capacity(8);
        groups.push(Some(Place::new(Kind::TimeWait, 7)), 0);
        let members = [Member { at: 0, index: 7 }];
        assert!(groups.iter().eq([(Some(Kind::TimeWait), &members[..])]));
        groups.clear();
        assert_eq!(groups.iter().count(), 0);
        groups.push(None, 3);
        assert!(groups.iter().eq([(None, &[Member { at: 3, index: 0 }][..])]));
    }
}
