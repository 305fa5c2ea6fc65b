//! The end of a server: it stops accepting, finishes what is under way, closes.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::rc::Rc;

use super::executor::core::Core;
use super::executor::current::current;
use super::executor::waiters::Ticket;
use crate::time::Instant;

/// Waits until the stack drains ([`Stack::drain`](crate::runtime::Stack::drain)). Returns the time
/// at which the connections that are left are reset. At once in a stack that drains already.
///
/// # Panics
/// Outside the tasks of a worker.
pub async fn draining() -> Instant {
    let core = current().expect("`draining` is called in a task of a worker");
    Draining { core, ticket: None }.await
}

/// Waits for the drain, and leaves the list of those who wait when it is dropped.
struct Draining {
    core: Rc<Core>,
    ticket: Option<Ticket>,
}

impl Future for Draining {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        if let Some(at) = self.core.drains_at.get() {
            return Poll::Ready(at);
        }
        let ticket = self.core.drain_waiters.borrow_mut().wait(self.ticket, cx.waker());
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let waker = self.core.drain_waiters.borrow_mut().remove(ticket);
            drop(waker);
        }
    }
}

/// Returns true once the stack drains; false outside the tasks of a worker.
pub fn is_draining() -> bool {
    current().is_some_and(|core| core.drains_at.get().is_some())
}
