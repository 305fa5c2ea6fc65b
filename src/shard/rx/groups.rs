//! Which segments of a batch are fed together: those whose look-up named the same kind of candidate.
//!
//! What a segment does to an embryo is other code than what one does to a connection, and which comes next in
//! a batch cannot be foreseen: one kind at a time, the processor's guesses hold and its instructions stay near.
//! Segments of one flow keep their order. Nothing is fed between their look-ups, so that these name the same
//! candidate, and within a group the order is that of arrival. Between flows it means nothing.

use crate::shard::flow::flow_table::{Kind, Place};

/// An arrival of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Member {
    /// Its place in the batch.
    pub(in crate::shard) at: u32,
    /// The index of its candidate.
    pub(in crate::shard) index: u32,
}

/// The arrivals of a batch: first those without a candidate, then by the kinds of it.
#[derive(Debug, Default)]
pub(in crate::shard) struct Groups {
    members: [Vec<Member>; KINDS.len()],
    /// Which of them have any, a bit each: a batch of one frame has one.
    present: u32,
}

/// What the groups have for a candidate.
const KINDS: [Option<Kind>; 5] = [
    None,
    Some(Kind::Embryo),
    Some(Kind::Connection),
    Some(Kind::TimeWait),
    Some(Kind::TimeWaitTimestamps),
];

impl Groups {
    /// Room for `batch` arrivals.
    pub(in crate::shard) fn with_capacity(batch: usize) -> Self {
        Self { members: core::array::from_fn(|_| Vec::with_capacity(batch)), present: 0 }
    }

    pub(in crate::shard) fn clear(&mut self) {
        for at in ones(self.present) {
            self.members[at].clear();
        }
        self.present = 0;
    }

    /// Enters the arrival at a place of the batch.
    #[inline]
    pub(in crate::shard) fn push(&mut self, candidate: Option<Place>, at: u32) {
        let (group, index) = match candidate {
            None => (0, 0),
            Some(place) => (place.kind as usize, place.index),
        };
        self.members[group].push(Member { at, index });
        self.present |= 1 << group;
    }

    /// The groups that have members, these in the order of arrival.
    #[inline]
    pub(in crate::shard) fn iter(&self) -> impl Iterator<Item = (Option<Kind>, &[Member])> {
        ones(self.present).map(|at| (KINDS[at], &self.members[at][..]))
    }
}

/// The places of the bits that are set, of the kinds there are.
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
