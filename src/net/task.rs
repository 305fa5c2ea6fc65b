//! Tasks of the current worker.

use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::any::Any;

use super::executor::current::current;
use super::executor::spawn::{Payload, Task, message, spawn_on};

/// Spawns a task on the current worker. It first runs in this turn, and never leaves the worker, so
/// it need not be `Send`.
///
/// A task that panics is ended and reported
/// ([`StackEvent::ProgramPanicked`](crate::runtime::StackEvent::ProgramPanicked)): its connections
/// are reset, and everything else goes on.
///
/// # Panics
/// Outside the tasks of a worker.
///
/// # Examples
///
/// ```no_run
/// # async fn run() {
/// use linerate::net::spawn;
///
/// let task = spawn(async { 6 * 7 });
/// assert_eq!(task.await.unwrap(), 42);
/// # }
/// ```
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let core = current().expect("`spawn` is called in a task of a worker");
    JoinHandle { task: Cell::new(Some(spawn_on(&core, future))) }
}

/// A handle of a task: waits for its output, or ends it. Dropping the handle lets the task go on.
pub struct JoinHandle<T> {
    task: Cell<Option<Task<T>>>,
}

impl<T> JoinHandle<T> {
    /// Ends the task: its future is dropped before it would run again. The handle then returns
    /// [`JoinError::Cancelled`]. Has no effect on a task that has ended.
    pub fn abort(&self) {
        if let Some(task) = self.task.take() {
            if task.is_finished() {
                self.task.set(Some(task));
            } else {
                drop(task);
            }
        }
    }

    /// Returns true once the task has ended.
    pub fn is_finished(&self) -> bool {
        let task = self.task.take();
        let is_finished = task.as_ref().is_none_or(Task::is_finished);
        self.task.set(task);
        is_finished
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(task) = self.task.get_mut() else { return Poll::Ready(Err(JoinError::Cancelled)) };
        match Pin::new(task).poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(output)) => {
                Poll::Ready(output.into_result().map_err(JoinError::Panicked))
            }
            Poll::Ready(None) => Poll::Ready(Err(JoinError::Cancelled)),
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.detach();
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_finished", &self.is_finished()).finish()
    }
}

/// The reason why a task has no output.
pub enum JoinError {
    /// The task was ended: by [`JoinHandle::abort`], or with its worker.
    Cancelled,
    /// The task panicked, with this payload.
    Panicked(Payload),
}

impl JoinError {
    /// Returns the payload of the panic.
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        match self {
            Self::Cancelled => None,
            Self::Panicked(payload) => Some(payload),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::Panicked(payload) => write!(f, "the task panicked: {}", message(&**payload)),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl core::error::Error for JoinError {}

/// Lets the other ready tasks run before the caller goes on.
pub async fn yield_now() {
    let mut has_yielded = false;
    core::future::poll_fn(|cx| {
        if core::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Returns the number of this worker and the number of workers of the stack; `(0, 1)` outside the
/// tasks of a worker.
pub fn worker() -> (usize, usize) {
    current().map_or((0, 1), |core| core.worker.get())
}
