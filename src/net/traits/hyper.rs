//! hyper's `rt` traits: its connections run on the streams, tasks and timers of a worker.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{IoSlice, Result};
use std::time::{Duration, Instant as StdInstant};

use ::hyper::rt::{Executor, Read, ReadBufCursor, Sleep, Timer, Write};
use send_wrapper::SendWrapper;

use crate::net::task::spawn;
use crate::net::tcp::TcpStream;
use crate::net::time;
use crate::time::Instant;

/// A stream as hyper reads and writes it.
///
/// # Examples
///
/// ```no_run
/// # #[cfg(any())] // hyper's servers need features of hyper that linerate does not turn on
/// # async fn run(stream: linerate::net::TcpStream) {
/// let service = hyper::service::service_fn(answer);
/// hyper::server::conn::http1::Builder::new()
///     .timer(linerate::net::HyperTimer::new())
///     .serve_connection(linerate::net::HyperIo::new(stream), service)
///     .await;
/// # }
/// ```
#[derive(Debug)]
pub struct HyperIo(TcpStream);

impl HyperIo {
    /// Wraps a stream.
    pub const fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// Returns the stream.
    pub fn into_inner(self) -> TcpStream {
        self.0
    }
}

impl Read for HyperIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let read = self.0.poll_taken(cx, buffer.remaining(), |parts| {
            let before = buffer.remaining();
            for part in parts {
                buffer.put_slice(&part[..part.len().min(buffer.remaining())]);
            }
            (before - buffer.remaining(), ())
        });
        read.map_ok(|_| ())
    }
}

impl Write for HyperIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.0.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(self.0.close_write())
    }
}

/// Spawns hyper's tasks (those of HTTP/2 streams) on the current worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct HyperExecutor;

impl<F> Executor<F> for HyperExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(spawn(future));
    }
}

/// hyper's timer over the clock of the current worker, real or simulated.
#[derive(Clone, Copy, Debug)]
pub struct HyperTimer {
    /// The same moment on both clocks.
    origin: (StdInstant, Instant),
}

impl HyperTimer {
    /// Creates a timer.
    ///
    /// # Panics
    /// Outside the tasks of a worker.
    pub fn new() -> Self {
        // Any moment would do: only spans since it are used. The standard library can construct
        // none but the present.
        Self { origin: (StdInstant::now(), time::now()) }
    }

    fn at(&self, deadline: StdInstant) -> Instant {
        self.origin.1
            + crate::time::Duration::from(deadline.saturating_duration_since(self.origin.0))
    }
}

impl Default for HyperTimer {
    fn default() -> Self {
        Self::new()
    }
}

/// A sleep that claims to be `Send`, as hyper demands: the task that holds it is not.
struct LocalSleep(SendWrapper<time::Sleep>);

impl Future for LocalSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut *self.0).poll(cx)
    }
}

impl Sleep for LocalSleep {}

impl Timer for HyperTimer {
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(LocalSleep(SendWrapper::new(time::sleep(span))))
    }

    fn sleep_until(&self, deadline: StdInstant) -> Pin<Box<dyn Sleep>> {
        Box::pin(LocalSleep(SendWrapper::new(time::sleep_until(self.at(deadline)))))
    }

    fn now(&self) -> StdInstant {
        self.origin.0 + Duration::from(time::now().since(self.origin.1))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: StdInstant) {
        match sleep.as_mut().downcast_mut_pin::<LocalSleep>() {
            Some(mut local) => local.0.reset(self.at(deadline)),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}
