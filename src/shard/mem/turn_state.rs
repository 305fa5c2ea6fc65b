//! State that every step of a turn shares: the time and the counters.

use crate::metrics::Counters;
use crate::time::Instant;

/// The time of the turn, read once, and the counters of the shard.
pub(in crate::shard) struct TurnState {
    pub(in crate::shard) now: Instant,
    pub(in crate::shard) counters: Counters,
}
