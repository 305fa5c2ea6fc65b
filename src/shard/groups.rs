//! Which segments of a batch are fed together: those whose look-up named the same kind of candidate.
//!
//! What a segment does to an embryo is other code than what one does to a connection, and which comes next in
//! a batch cannot be foreseen: one kind at a time, the processor's guesses hold and its instructions stay near.
//! Segments of one flow keep their order. Nothing is fed between their look-ups, so that these name the same
//! candidate, and within a group the order is that of arrival. Between flows it means nothing.

use super::flow_table::{Kind, Place};

/// An arrival of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its place in the batch.
    pub(super) at: u32,
    /// The index of its candidate.
    pub(super) index: u32,
}

/// The arrivals of a batch: first those without a candidate, then by the kinds of it.
#[derive(Debug, Default)]
pub(super) struct Groups([Vec<Member>; 5]);

impl Groups {
    /// Room for `batch` arrivals.
    pub(super) fn with_capacity(batch: usize) -> Self {
        Self(core::array::from_fn(|_| Vec::with_capacity(batch)))
    }

    pub(super) fn clear(&mut self) {
        for group in &mut self.0 {
            group.clear();
        }
    }

    /// Enters the arrival at a place of the batch.
    #[inline]
    pub(super) fn push(&mut self, candidate: Option<Place>, at: u32) {
        let index = candidate.map_or(0, |place| place.index);
        self.0[group(candidate.map(|place| place.kind))].push(Member { at, index });
    }

    /// Those of one kind, in the order of arrival.
    #[inline]
    pub(super) fn of(&self, kind: Option<Kind>) -> &[Member] {
        &self.0[group(kind)]
    }
}

/// The groups, in the order in which they are fed.
pub(super) const KINDS: [Option<Kind>; 5] = [
    None,
    Some(Kind::Embryo),
    Some(Kind::Connection),
    Some(Kind::TimeWait),
    Some(Kind::TimeWaitTimestamps),
];

#[inline]
fn group(kind: Option<Kind>) -> usize {
    kind.map_or(0, |kind| kind as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_keeps_the_order_of_arrival() {
        let mut groups = Groups::with_capacity(8);
        for at in 0..20 {
            let kind = KINDS[at * 3 % 5];
            groups.push(kind.map(|kind| Place::new(kind, 100 + at as u32)), at as u32);
        }
        for (first, kind) in [0, 2, 4, 1, 3].into_iter().zip(KINDS) {
            let members = (0..4).map(|n| first + 5 * n);
            let index = |at| if kind.is_some() { 100 + at } else { 0 };
            let members: Vec<_> = members.map(|at| Member { at, index: index(at) }).collect();
            assert_eq!(groups.of(kind), members, "{kind:?}");
        }
        groups.clear();
        assert!(KINDS.into_iter().all(|kind| groups.of(kind).is_empty()));
    }
}
