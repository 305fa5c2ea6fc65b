//! Futures that another thread spawns on a worker, and their results.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::net::task::{JoinError, JoinHandle};

/// The result on its way.
struct Slot<T> {
    result: Option<Result<T, JoinError>>,
    waker: Option<Waker>,
}

type Shared<T> = Arc<Mutex<Slot<T>>>;

fn lock<T>(slot: &Mutex<Slot<T>>) -> MutexGuard<'_, Slot<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A task on a worker, spawned from another thread by
/// [`Handle::spawn_on`](super::Handle::spawn_on). Waits for the task's output. Dropping it lets the
/// task go on.
pub struct RemoteJoinHandle<T> {
    slot: Shared<T>,
}

/// The end that the worker holds. Dropped without a result, it says that the task was cancelled.
pub(super) struct Report<T> {
    slot: Shared<T>,
}

/// Makes the two ends of a result.
pub(super) fn result<T>() -> (Report<T>, RemoteJoinHandle<T>) {
    let slot = Arc::new(Mutex::new(Slot { result: None, waker: None }));
    (Report { slot: Arc::clone(&slot) }, RemoteJoinHandle { slot })
}

impl<T> Report<T> {
    /// Waits for the task and reports its result.
    pub(super) async fn of(self, task: JoinHandle<T>) {
        let result = task.await;
        self.send(result);
    }

    fn send(&self, result: Result<T, JoinError>) {
        let mut slot = lock(&self.slot);
        slot.result.get_or_insert(result);
        let waker = slot.waker.take();
        drop(slot);
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> Drop for Report<T> {
    fn drop(&mut self) {
        self.send(Err(JoinError::Cancelled));
    }
}

impl<T> Future for RemoteJoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.slot);
        match slot.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for RemoteJoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJoinHandle").finish_non_exhaustive()
    }
}
