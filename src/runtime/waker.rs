//! What other threads may ask of a worker, and how a sleeping one is woken.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use crate::time::Duration;

/// Wakes one worker. Costs the waker nothing while the worker is awake.
#[derive(Debug)]
pub(super) struct Waker {
    sleeping: AtomicBool,
    event: EventFd,
}

impl Waker {
    /// # Errors
    /// When the process has no file descriptor left.
    pub(super) fn new() -> nix::Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Self { sleeping: AtomicBool::new(false), event })
    }

    /// Ends the worker's sleep, or keeps it from falling asleep if it is about to.
    pub(super) fn wake(&self) {
        if self.sleeping.load(Ordering::SeqCst) {
            // A full counter means that it was woken already.
            let _ = self.event.write(1);
        }
    }

    /// Called by the worker: sleeps until `link` has frames, someone wakes it, or `span` has passed.
    /// `nothing_waits` is asked once more after the intention to sleep is visible to others, so that
    /// what is queued just then is not slept through.
    pub(super) fn sleep(
        &self,
        link: Option<BorrowedFd<'_>>,
        span: Duration,
        nothing_waits: impl Fn() -> bool,
    ) {
        self.sleeping.store(true, Ordering::SeqCst);
        if nothing_waits() {
            self.wait(link, span);
        }
        self.sleeping.store(false, Ordering::SeqCst);
        // EAGAIN: nobody woke us.
        let _ = self.event.read();
    }

    fn wait(&self, link: Option<BorrowedFd<'_>>, span: Duration) {
        let own = PollFd::new(self.event.as_fd(), PollFlags::POLLIN);
        // POLLIN alone: with POLLOUT the socket is nearly always ready and poll would spin.
        let fds = link.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let timeout = Some(TimeSpec::from_duration(span.into()));
        // EINTR ends the sleep early, which is harmless.
        let _ = match fds {
            Some(fd) => ppoll(&mut [own, fd], timeout, None),
            None => ppoll(&mut [own], timeout, None),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_sleeper_is_woken_before_its_time() {
        let waker = Arc::new(Waker::new().unwrap());
        let sleeper = Arc::clone(&waker);
        let thread =
            std::thread::spawn(move || sleeper.sleep(None, Duration::from_secs(30), || true));
        while !thread.is_finished() {
            waker.wake();
            std::thread::yield_now();
        }
        thread.join().unwrap();
    }

    #[test]
    fn a_worker_for_which_something_waits_does_not_sleep() {
        Waker::new().unwrap().sleep(None, Duration::from_secs(30), || false);
    }
}
