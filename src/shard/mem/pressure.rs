//! Memory pressure: progress of the walk over the connections that reclaims memory or reopens
//! windows.

use crate::time::Instant;

/// Purpose of the current walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) enum Goal {
    #[default]
    Nothing,
    /// Halves the window promises of this size, log2.
    Halve(u8),
    /// Reopens closed windows.
    Reopen,
}

/// Progress of the walk.
#[derive(Debug, Default)]
pub(in crate::shard) struct MemoryPressure {
    pub(in crate::shard) goal: Goal,
    /// Next connection to visit.
    pub(in crate::shard) cursor: u32,
    /// The walk pauses until this time.
    pub(in crate::shard) paused_until: Instant,
    /// Memory was short at the last check.
    pub(in crate::shard) was_short: bool,
}

impl MemoryPressure {
    /// Returns the time of the next step while peers wait for windows to reopen.
    pub(in crate::shard) fn deadline(&self, can_reopen: bool, now: Instant) -> Option<Instant> {
        (can_reopen || self.goal == Goal::Reopen).then(|| now.max(self.paused_until))
    }
}
