//! What the workers of a stack must know of each other: whether all of them take frames for the stack's addresses
//! by now, and whether the service of any of them still goes on.
//!
//! An answer may come in on any queue. So no service begins before the last worker's addresses are settled, and
//! no worker leaves its queue while another's service may wait for what arrives there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::control::Waker;

/// Each worker says each thing once; the last one wakes all.
#[derive(Debug)]
pub(super) struct WorkerBarrier {
    settled: Vec<AtomicBool>,
    resigned: Vec<AtomicBool>,
    wakers: Vec<Arc<Waker>>,
}

impl WorkerBarrier {
    /// For one worker a waker.
    pub(super) fn new(wakers: Vec<Arc<Waker>>) -> Self {
        let flags = || wakers.iter().map(|_| AtomicBool::new(false)).collect();
        Self { settled: flags(), resigned: flags(), wakers }
    }

    /// The worker takes frames for every address that is to be the stack's.
    pub(super) fn settle(&self, worker: usize) {
        self.say(&self.settled, worker);
    }

    /// Whether all workers do.
    pub(super) fn all_settled(&self) -> bool {
        all(&self.settled)
    }

    /// The worker's service has stopped.
    pub(super) fn resign(&self, worker: usize) {
        self.say(&self.resigned, worker);
    }

    /// Whether all services have stopped.
    pub(super) fn all_resigned(&self) -> bool {
        all(&self.resigned)
    }

    fn say(&self, flags: &[AtomicBool], worker: usize) {
        if !flags[worker].swap(true, Ordering::SeqCst) && all(flags) {
            self.wakers.iter().for_each(|waker| waker.wake());
        }
    }
}

fn all(flags: &[AtomicBool]) -> bool {
    flags.iter().all(|flag| flag.load(Ordering::SeqCst))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn barrier(workers: usize) -> WorkerBarrier {
        WorkerBarrier::new((0..workers).map(|_| Arc::new(Waker::new().unwrap())).collect())
    }

    #[test]
    fn only_the_last_word_makes_it_all() {
        let barrier = barrier(3);
        for worker in [2, 0, 2] {
            barrier.settle(worker);
            assert!(!barrier.all_settled());
        }
        barrier.settle(1);
        assert!(barrier.all_settled() && !barrier.all_resigned());
        (0..3).for_each(|worker| barrier.resign(worker));
        assert!(barrier.all_resigned());
    }
}
