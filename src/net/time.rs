//! Time as the tasks of a worker see it: the clock of the turn, real or simulated.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::rc::Rc;

use pin_project_lite::pin_project;

use super::executor::core::Core;
use super::executor::current::current;
use super::executor::timers::TimerId;
use crate::time::{Duration, Instant};

/// Returns the time at which this turn of the worker began.
///
/// # Panics
/// Outside the tasks of a worker.
pub fn now() -> Instant {
    here("now").now()
}

/// Waits for a span of time, at the accuracy of a turn.
///
/// # Panics
/// Outside the tasks of a worker.
pub fn sleep(span: impl Into<Duration>) -> Sleep {
    let core = here("sleep");
    let at = core.now() + span.into();
    Sleep { core, at, timer: None }
}

/// Waits until a time of the worker's clock.
///
/// # Panics
/// Outside the tasks of a worker.
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep { core: here("sleep_until"), at, timer: None }
}

fn here(call: &str) -> Rc<Core> {
    current().unwrap_or_else(|| panic!("`{call}` is called in a task of a worker"))
}

/// The future of [`sleep`]. Dropping it removes the timer.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Sleep {
    core: Rc<Core>,
    at: Instant,
    timer: Option<TimerId>,
}

impl Sleep {
    /// Returns the time at which it ends.
    pub const fn deadline(&self) -> Instant {
        self.at
    }

    /// Changes the time at which it ends.
    pub fn reset(&mut self, at: Instant) {
        self.remove();
        self.at = at;
    }

    fn remove(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.core.remove_timer(timer);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.core.now() >= self.at {
            self.remove();
            return Poll::Ready(());
        }
        match self.timer {
            Some(timer) => self.core.update_timer(timer, cx.waker()),
            None => self.timer = Some(self.core.add_timer(self.at, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.remove();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The future did not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time is over")]
pub struct Elapsed;

impl From<Elapsed> for std::io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(std::io::ErrorKind::TimedOut, elapsed)
    }
}

pin_project! {
    /// The future of [`timeout`].
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        #[pin]
        sleep: Sleep,
    }
}

/// Waits for a future, for at most a span of time. A future that ends in the turn in which the time
/// is over wins.
///
/// # Errors
/// [`Elapsed`] when the time is over. The future is dropped with the result.
///
/// # Panics
/// Outside the tasks of a worker.
///
/// # Examples
///
/// ```no_run
/// # async fn run(mut stream: linerate::net::TcpStream) -> std::io::Result<()> {
/// use std::time::Duration;
/// use linerate::net::timeout;
///
/// let mut buffer = [0; 1024];
/// let n = timeout(Duration::from_secs(5), stream.read(&mut buffer)).await??;
/// # Ok(())
/// # }
/// ```
pub fn timeout<F: Future>(span: impl Into<Duration>, future: F) -> Timeout<F> {
    Timeout { future, sleep: sleep(span) }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.poll(cx).map(|()| Err(Elapsed))
    }
}

impl<F> fmt::Debug for Timeout<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout").field("sleep", &self.sleep).finish_non_exhaustive()
    }
}

/// Ticks at a fixed period, from [`interval`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Duration,
}

/// Returns an interval whose first tick is due at once. Ticks that were missed come one after the
/// other without a pause, as those of `tokio::time::interval` do.
///
/// # Panics
/// With a period of zero, and outside the tasks of a worker.
pub fn interval(period: impl Into<Duration>) -> Interval {
    let period = period.into();
    assert!(period > Duration::ZERO, "an interval has a period");
    Interval { sleep: sleep(Duration::ZERO), period }
}

impl Interval {
    /// Waits for the next tick. Returns the time at which it was due.
    ///
    /// Cancel safe: a tick that is dropped is still due.
    pub async fn tick(&mut self) -> Instant {
        core::future::poll_fn(|cx| Pin::new(&mut self.sleep).poll(cx)).await;
        let due = self.sleep.deadline();
        self.sleep.reset(due + self.period);
        due
    }

    /// Returns the period.
    pub const fn period(&self) -> Duration {
        self.period
    }
}
