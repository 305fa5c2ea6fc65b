//! The conditions that all workers of a stack wait for: that duplicate address detection is
//! complete on all of them, and that the services of all of them have stopped.
//!
//! An answer may arrive on any queue. So no service starts before every worker accepts packets for
//! the stack's addresses, and no worker leaves its queue while another's service may wait for
//! packets on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::waker::Waker;

/// Two conditions, each of which every worker meets once. The last worker wakes all.
#[derive(Debug)]
pub(super) struct WorkerBarrier {
    addresses_ready: Vec<AtomicBool>,
    services_stopped: Vec<AtomicBool>,
    wakers: Vec<Arc<Waker>>,
}

impl WorkerBarrier {
    /// Creates a barrier for the workers that `wakers` wake.
    pub(super) fn new(wakers: Vec<Arc<Waker>>) -> Self {
        let flags = || wakers.iter().map(|_| AtomicBool::new(false)).collect();
        Self { addresses_ready: flags(), services_stopped: flags(), wakers }
    }

    /// Records that the worker accepts packets for all addresses that the stack will have.
    pub(super) fn addresses_ready(&self, worker: usize) {
        self.reach(&self.addresses_ready, worker);
    }

    /// Returns true once all workers do.
    pub(super) fn all_addresses_ready(&self) -> bool {
        all(&self.addresses_ready)
    }

    /// Records that the worker's service has stopped.
    pub(super) fn service_stopped(&self, worker: usize) {
        self.reach(&self.services_stopped, worker);
    }

    /// Returns true once all services have stopped.
    pub(super) fn all_services_stopped(&self) -> bool {
        all(&self.services_stopped)
    }

    fn reach(&self, flags: &[AtomicBool], worker: usize) {
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
    fn the_barrier_opens_when_the_last_worker_arrives() {
        let barrier = barrier(3);
        for worker in [2, 0, 2] {
            barrier.addresses_ready(worker);
            assert!(!barrier.all_addresses_ready());
        }
        barrier.addresses_ready(1);
        assert!(barrier.all_addresses_ready() && !barrier.all_services_stopped());
        (0..3).for_each(|worker| barrier.service_stopped(worker));
        assert!(barrier.all_services_stopped());
    }
}
