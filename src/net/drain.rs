//! The end of a server: it stops accepting, finishes what is under way, closes.

use core::future::poll_fn;
use core::task::Poll;

use super::executor::current::current;
use crate::time::Instant;

/// Waits until the stack drains ([`Stack::drain`](crate::runtime::Stack::drain)). Returns the time
/// at which the connections that are left are reset. At once in a stack that drains already.
///
/// # Panics
/// Outside the tasks of a worker.
pub async fn draining() -> Instant {
    let core = current().expect("`draining` is called in a task of a worker");
    poll_fn(|cx| match core.drains_at.get() {
        Some(at) => Poll::Ready(at),
        None => {
            let mut wakers = core.drain_wakers.borrow_mut();
            if !wakers.iter().any(|known| known.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
            Poll::Pending
        }
    })
    .await
}

/// Returns true once the stack drains; false outside the tasks of a worker.
pub fn is_draining() -> bool {
    current().is_some_and(|core| core.drains_at.get().is_some())
}
