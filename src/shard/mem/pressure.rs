//! Memory pressure: how far the walk over the connections is that gives memory back, or opens windows again.

use crate::time::Instant;

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) enum Goal {
    #[default]
    Nothing,
    /// Promises of this size are halved, log2.
    Halve(u8),
    /// Closed windows are opened.
    Reopen,
}

/// How far it got.
#[derive(Debug, Default)]
pub(in crate::shard) struct MemoryPressure {
    pub(in crate::shard) goal: Goal,
    /// The next connection to look at.
    pub(in crate::shard) hand: u32,
    /// Not before then.
    pub(in crate::shard) rest_until: Instant,
    /// Memory was short when last looked.
    pub(in crate::shard) was_short: bool,
}

impl MemoryPressure {
    /// When there is something to do though nothing arrives: peers wait for windows to open.
    pub(in crate::shard) fn deadline(&self, can_reopen: bool, now: Instant) -> Option<Instant> {
        (can_reopen || self.goal == Goal::Reopen).then(|| now.max(self.rest_until))
    }
}
