//! Which segments of a batch are fed together: those whose look-up named the same kind of candidate.
//!
//! What a segment does to an embryo is other code than what one does to a connection, and which comes next in
//! a batch cannot be foreseen: one kind at a time, the processor's guesses hold and its instructions stay near.
//! Segments of one flow keep their order. Nothing is fed between their look-ups, so that these name the same
//! candidate, and within a group the order is that of arrival. Between flows it means nothing.

use super::flow_table::{Kind, Place};

/// The places in a batch of the arrivals of each group.
#[derive(Debug, Default)]
pub(super) struct Groups([Vec<u32>; 4]);

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
        let group = match candidate.map(|place| place.kind) {
            None => 0,
            Some(Kind::Embryo) => 1,
            Some(Kind::Connection) => 2,
            Some(Kind::TimeWait | Kind::TimeWaitTimestamps) => 3,
        };
        self.0[group].push(at);
    }

    /// All of them, group by group.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flatten().map(|at| *at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_keeps_the_order_of_arrival() {
        let mut groups = Groups::with_capacity(8);
        let connection = Some(Place::new(Kind::Connection, 5));
        let embryo = Some(Place::new(Kind::Embryo, 5));
        let time_waits = [Kind::TimeWait, Kind::TimeWaitTimestamps].map(|k| Some(Place::new(k, 1)));
        let batch =
            [connection, None, time_waits[0], embryo, connection, time_waits[1], embryo, None];
        for (at, candidate) in batch.into_iter().enumerate() {
            groups.push(candidate, at as u32);
        }
        assert_eq!(groups.iter().collect::<Vec<_>>(), [1, 7, 3, 6, 0, 4, 2, 5]);
        groups.clear();
        assert_eq!(groups.iter().next(), None);
    }
}
