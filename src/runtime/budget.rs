//! The memory of all workers' buffers together: a budget from which each takes large blocks.
//!
//! Owns the sum. A worker asks only when it runs low and gives back only what it has had free for long, so that
//! the one atomic of it is touched some times a second at most, never for a segment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::shard::Memory;

/// A worker takes one block at a time: of this part of the budget, divided by the workers. Larger, and memory
/// lies with workers that do not need it; smaller, and they ask often, and offer less, not knowing of more.
const BLOCKS_A_WORKER: usize = 8;

/// The least that is worth a block, bytes.
const BLOCK_MIN: usize = 64 << 10;

/// What is left of the memory of all workers.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicUsize,
    block: usize,
}

impl Budget {
    /// `bytes` for so many workers.
    pub(super) fn new(bytes: usize, workers: usize) -> Arc<Self> {
        let block = (bytes / (workers.max(1) * BLOCKS_A_WORKER)).max(BLOCK_MIN.min(bytes));
        Arc::new(Self { left: AtomicUsize::new(bytes), block })
    }

    fn take(&self, wanted: usize) -> usize {
        let mut taken = 0;
        let take = |left: usize| {
            taken = wanted.min(left);
            (taken > 0).then(|| left - taken)
        };
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => taken,
            Err(_) => 0,
        }
    }

    fn give(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A worker's part of the budget.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    /// The most that it may have.
    most: usize,
    has: usize,
}

impl Share {
    /// A part that begins with two blocks; `most` is what a worker may have at most.
    pub(super) fn new(budget: &Arc<Budget>, most: usize) -> Self {
        let has = budget.take((2 * budget.block).min(most));
        Self { budget: Arc::clone(budget), most, has }
    }

    /// What it has, bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.has
    }

    /// Takes a block when less than one is free, gives one back when more than three are: between them nothing
    /// happens. Returns what it has now, if that changed.
    pub(super) fn balance(&mut self, memory: &Memory) -> Option<usize> {
        let (free, block) = (memory.free(), self.budget.block);
        if free < block && self.has < self.most {
            let taken = self.budget.take(block.min(self.most - self.has));
            self.has += taken;
            return (taken > 0).then_some(self.has);
        }
        if free > 3 * block && self.has > 2 * block {
            let given = block.min(self.has - 2 * block);
            self.has -= given;
            self.budget.give(given);
            return Some(self.has);
        }
        None
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give(self.has);
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
    fn workers_take_blocks_as_they_need_them_and_never_more_than_there_is() {
        let budget = Budget::new(32 * MIB, 2);
        let mut shares = [Share::new(&budget, 64 * MIB), Share::new(&budget, 64 * MIB)];
        assert_eq!((shares[0].bytes(), shares[1].bytes()), (4 * MIB, 4 * MIB));
        while let Some(has) = shares[0].balance(&memory(shares[0].bytes(), shares[0].bytes())) {
            assert_eq!(has, shares[0].bytes());
        }
        assert_eq!(shares[0].bytes(), 28 * MIB);
        assert_eq!(shares[1].balance(&memory(4 * MIB, 4 * MIB)), None, "there is no more");
        // What the one has free goes back, until there is nothing to be gained from more.
        while shares[0].balance(&memory(shares[0].bytes(), 10 * MIB)).is_some() {}
        assert_eq!(shares[0].bytes(), 16 * MIB);
        assert_eq!(shares[1].balance(&memory(4 * MIB, 4 * MIB)), Some(6 * MIB));
    }

    #[test]
    fn no_worker_takes_more_than_it_may() {
        let budget = Budget::new(32 * MIB, 1);
        let mut share = Share::new(&budget, 5 * MIB);
        while share.balance(&memory(share.bytes(), share.bytes())).is_some() {}
        assert_eq!(share.bytes(), 5 * MIB);
    }

    #[test]
    fn what_a_worker_had_is_there_for_others_when_it_ends() {
        let budget = Budget::new(MIB, 1);
        drop(Share::new(&budget, MIB));
        assert_eq!(budget.left.load(Ordering::Relaxed), MIB);
    }
}
