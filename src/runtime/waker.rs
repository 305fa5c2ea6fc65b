//! Wakes a sleeping thread: an eventfd, written only while its owner sleeps.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use crate::time::Duration;

/// Wakes one thread. Costs one atomic load while the thread is awake.
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

    /// Ends the thread's sleep, or prevents it if the thread is about to sleep.
    pub(super) fn wake(&self) {
        if self.sleeping.load(Ordering::SeqCst) {
            // A full counter means that the thread was woken already.
            let _ = self.event.write(1);
        }
    }

    /// Sleeps until `link` is readable, another thread calls [`wake`](Self::wake), or `span` has
    /// passed. Called by the thread that owns the waker. Evaluates `nothing_waits` after other
    /// threads can see the intention to sleep, so that work queued at that moment is not missed.
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
        // EAGAIN: the sleep ended for another reason.
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
    fn a_thread_with_waiting_work_does_not_sleep() {
        Waker::new().unwrap().sleep(None, Duration::from_secs(30), || false);
    }
}
