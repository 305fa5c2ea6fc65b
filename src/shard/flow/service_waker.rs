//! Wakes a service from another thread.
//!
//! Owns the flag that the shard reads once per turn. Refuses to know how a sleeping worker wakes:
//! the runtime provides that.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the sleep of the worker, if it sleeps.
type Rouse = Arc<dyn Fn() + Send + Sync>;

/// Wakes the service of one worker: its [`Service::on_wake`](crate::shard::Service::on_wake)
/// follows in the next turn.
///
/// May be used from any thread, and outlive the stack; it then does nothing. A call costs one
/// atomic swap, and a system call only if the worker sleeps.
#[derive(Clone, Default)]
pub struct ServiceWaker {
    is_woken: Arc<AtomicBool>,
    rouse: Option<Rouse>,
}

impl ServiceWaker {
    /// Creates a waker that calls `rouse` whenever the flag is set. `rouse` must end the sleep of
    /// the worker, and be cheap if the worker is awake.
    pub fn new(rouse: impl Fn() + Send + Sync + 'static) -> Self {
        Self { is_woken: Arc::default(), rouse: Some(Arc::new(rouse)) }
    }

    /// Wakes the service. What the caller wrote before is visible to the service in `on_wake`.
    pub fn wake(&self) {
        // SeqCst pairs with `take` and with the check before a sleep: either the worker sees the
        // flag, or this thread sees that the worker sleeps.
        if !self.is_woken.swap(true, Ordering::SeqCst)
            && let Some(rouse) = &self.rouse
        {
            rouse();
        }
    }

    /// Returns true if the service is woken and has not been called yet.
    #[inline]
    pub fn is_woken(&self) -> bool {
        self.is_woken.load(Ordering::SeqCst)
    }

    /// Clears the flag and returns its value. A relaxed load finds it clear in most turns.
    #[inline]
    pub(in crate::shard) fn take(&self) -> bool {
        self.is_woken.load(Ordering::Relaxed) && self.is_woken.swap(false, Ordering::SeqCst)
    }
}

impl fmt::Debug for ServiceWaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceWaker").field("is_woken", &self.is_woken()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_worker_is_roused_once_until_it_takes_the_flag() {
        let roused = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&roused);
        let waker = ServiceWaker::new(move || {
            seen.fetch_add(1, Ordering::SeqCst);
        });
        assert!(!waker.take());
        waker.wake();
        waker.clone().wake();
        assert_eq!(roused.load(Ordering::SeqCst), 1);
        assert!(waker.take() && !waker.take());
        waker.wake();
        assert_eq!(roused.load(Ordering::SeqCst), 2);
    }
}
