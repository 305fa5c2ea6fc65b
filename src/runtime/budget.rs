//! The memory budget of all workers' buffers, from which each worker takes large blocks.
//!
//! Owns the sum. A worker takes a block only when it runs low, and returns one only when it has
//! several free. So the shared atomic is touched a few times per second at most, never per segment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::shard::Memory;

/// A block is the budget divided by the workers and by this. Larger blocks leave memory with
/// workers that do not need it; smaller ones are taken more often, and make workers advertise
/// smaller windows than the budget allows.
const BLOCKS_PER_WORKER: usize = 8;

/// Smallest block, bytes.
const BLOCK_MIN: usize = 64 << 10;

/// The free memory of all workers.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
    block: usize,
}

impl Budget {
    /// Creates a budget of `bytes` for so many workers.
    pub(super) fn new(bytes: usize, workers: usize) -> Arc<Self> {
        let block = (bytes / (workers.max(1) * BLOCKS_PER_WORKER)).max(BLOCK_MIN.min(bytes));
        Arc::new(Self { left: AtomicUsize::new(bytes), block })
    }

    fn take(&self, wanted: usize) -> usize {
        let mut granted = 0;
        let take = |left: usize| {
            granted = wanted.min(left);
            (granted > 0).then(|| left - granted)
        };
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => granted,
            Err(_) => 0,
        }
    }

    fn release(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A worker's share of the budget.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    /// Upper bound of the share, bytes.
    max: usize,
    /// Size of the share, bytes.
    size: usize,
}

impl Share {
    /// Takes two blocks to begin with. The share never exceeds `max` bytes.
    pub(super) fn new(budget: &Arc<Budget>, max: usize) -> Self {
        let size = budget.take((2 * budget.block).min(max));
        Self { budget: Arc::clone(budget), max, size }
    }

    /// Returns the size of the share, bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.size
    }

    /// Takes a block when less than one is free, and returns one when more than three are. Returns
    /// the new size of the share if it changed.
    pub(super) fn balance(&mut self, memory: &Memory) -> Option<usize> {
        let (free, block) = (memory.free(), self.budget.block);
        if free < block && self.size < self.max {
            let granted = self.budget.take(block.min(self.max - self.size));
            self.size += granted;
            return (granted > 0).then_some(self.size);
        }
        if free > 3 * block && self.size > 2 * block {
            let released = block.min(self.size - 2 * block);
            self.size -= released;
            self.budget.release(released);
            return Some(self.size);
        }
        None
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.release(self.size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn memory(limit: usize, promised: usize) -> Memory {
        Memory { limit, promised, ..Memory::default() }
    }

    #[test]
    fn workers_take_blocks_on_demand_and_never_exceed_the_budget() {
        let budget = Budget::new(32 * MIB, 2);
        let mut shares = [Share::new(&budget, 64 * MIB), Share::new(&budget, 64 * MIB)];
        assert_eq!((shares[0].bytes(), shares[1].bytes()), (4 * MIB, 4 * MIB));
        while let Some(size) = shares[0].balance(&memory(shares[0].bytes(), shares[0].bytes())) {
            assert_eq!(size, shares[0].bytes());
        }
        assert_eq!(shares[0].bytes(), 28 * MIB);
        assert_eq!(shares[1].balance(&memory(4 * MIB, 4 * MIB)), None, "the budget is used up");
        // The free blocks of one worker return to the budget, down to a reserve.
        while shares[0].balance(&memory(shares[0].bytes(), 10 * MIB)).is_some() {}
        assert_eq!(shares[0].bytes(), 16 * MIB);
        assert_eq!(shares[1].balance(&memory(4 * MIB, 4 * MIB)), Some(6 * MIB));
    }

    #[test]
    fn a_share_never_exceeds_its_own_limit() {
        let budget = Budget::new(32 * MIB, 1);
        let mut share = Share::new(&budget, 5 * MIB);
        while share.balance(&memory(share.bytes(), share.bytes())).is_some() {}
        assert_eq!(share.bytes(), 5 * MIB);
    }

    #[test]
    fn a_worker_that_ends_returns_its_share() {
        let budget = Budget::new(MIB, 1);
        drop(Share::new(&budget, MIB));
        assert_eq!(budget.left.load(Ordering::Relaxed), MIB);
    }
}
