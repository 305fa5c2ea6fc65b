//! Futures on a thread of their own: the thread spins for a moment, then sleeps until it is woken.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::io;
use std::sync::Arc;
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Polls before the thread sleeps: a few microseconds. An answer of another core that comes as fast
/// as it can is then found without a sleep; with more, the thread takes the core from others.
const SPINS: usize = 100;

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end on the calling thread, which sleeps while it waits. For the futures of
/// [`Handle`](super::Handle), and any other that needs no runtime.
///
/// Never call it in a task of a worker: it blocks the worker and all its connections.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match wait(future, None) {
        Some(output) => output,
        None => unreachable!("without a limit the wait ends with the future"),
    }
}

/// Runs a future as [`block_on`] does, for at most `limit`.
pub(super) fn block_on_for<F: Future>(future: F, limit: Duration) -> io::Result<F::Output> {
    let over =
        || io::Error::new(io::ErrorKind::TimedOut, "the time set for blocking calls is over");
    wait(future, Some(Instant::now() + limit)).ok_or_else(over)
}

fn wait<F: Future>(future: F, until: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let noop = &mut Context::from_waker(Waker::noop());
    for _ in 0..SPINS {
        if let Poll::Ready(output) = future.as_mut().poll(noop) {
            return Some(output);
        }
        std::hint::spin_loop();
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        match until {
            None => thread::park(),
            Some(until) => {
                let left = until.checked_duration_since(Instant::now())?;
                thread::park_timeout(left);
            }
        }
    }
}
