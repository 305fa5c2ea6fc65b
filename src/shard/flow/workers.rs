//! The workers of the stack, and how flows are divided among them.

use crate::shard::flow::steer::Steering;

/// This worker, the number of workers, and the steering of flows.
pub(in crate::shard) struct Workers {
    /// Number of this worker, from 0.
    pub(in crate::shard) this: u16,
    /// Number of workers, at least 1.
    pub(in crate::shard) count: u16,
    pub(in crate::shard) steering: Steering,
}

impl Workers {
    /// Returns the worker after this one, the first one after the last.
    pub(in crate::shard) const fn next(&self) -> u16 {
        (self.this + 1) % self.count
    }
}
