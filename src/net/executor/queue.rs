//! The tasks that are ready to run: those woken on the worker's thread, and those from elsewhere.

use core::future::Future;
use core::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_task::Runnable;
use crossbeam::queue::SegQueue;

use crate::shard::ServiceWaker;

/// A future that never leaves its worker.
pub(in crate::net) type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Makes a future on the worker.
pub(in crate::net) type Job = Box<dyn FnOnce() -> LocalFuture + Send>;

/// The part of an executor that other threads reach.
#[derive(Default)]
pub(in crate::net) struct Shared {
    /// Tasks woken elsewhere. At most one entry a task.
    woken: SegQueue<Runnable>,
    /// Futures to spawn.
    jobs: SegQueue<Job>,
    /// Wakes the worker, once the service has started.
    waker: OnceLock<ServiceWaker>,
    is_closed: AtomicBool,
}

/// The executor has ended, and takes no more jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Ended;

impl Shared {
    pub(in crate::net) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sets what wakes the worker. Wakes it if something is waiting already.
    pub(in crate::net) fn set_waker(&self, waker: ServiceWaker) {
        let waker = self.waker.get_or_init(|| waker);
        if !self.woken.is_empty() || !self.jobs.is_empty() {
            waker.wake();
        }
    }

    /// Queues a task that was woken on another thread.
    pub(in crate::net) fn push_woken(&self, task: Runnable) {
        self.woken.push(task);
        self.wake();
    }

    /// Queues a future to spawn.
    pub(in crate::net) fn push_job(&self, job: Job) -> Result<(), Ended> {
        if self.is_closed() {
            return Err(Ended);
        }
        self.jobs.push(job);
        self.wake();
        Ok(())
    }

    pub(in crate::net) fn pop_woken(&self) -> Option<Runnable> {
        self.woken.pop()
    }

    pub(in crate::net) fn pop_job(&self) -> Option<Job> {
        self.jobs.pop()
    }

    /// Wakes the worker.
    pub(in crate::net) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    /// Refuses jobs from now on.
    pub(in crate::net) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub(in crate::net) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}
