//! A stack as other threads reach it.

use core::fmt;
use core::future::{Future, poll_fn};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use super::job::{RemoteJoinHandle, result};
use super::listener::RemoteListener;
use super::protocol::{ended, op};
use super::seat::Seat;
use super::server::serve;
use super::stream::RemoteStream;
use crate::net::address::ToAddress;
use crate::net::executor::Executor;
use crate::net::executor::queue::Shared;
use crate::net::task::spawn;

/// The seats of a thread at a worker.
type Seats = HashMap<(ThreadId, usize), Vec<Arc<Seat>>>;

/// Reaches the workers of a stack from any thread: spawns tasks there, opens connections, listens.
/// Clones are cheap and reach the same workers.
///
/// # Examples
///
/// A thread that uses a connection with blocking calls:
///
/// ```no_run
/// # fn run(handle: linerate::net::Handle) -> std::io::Result<()> {
/// use std::io::{Read, Write};
/// use linerate::net::block_on;
///
/// let mut stream = block_on(handle.connect("10.0.0.1:7"))?;
/// stream.write_all(b"hello")?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    workers: Vec<Arc<Shared>>,
    seats: Mutex<Seats>,
    connects: AtomicUsize,
}

impl Handle {
    /// Creates the handle of workers whose executors share these queues.
    pub(in crate::net) fn of(workers: Vec<Arc<Shared>>) -> Self {
        let inner = Inner { workers, seats: Mutex::default(), connects: AtomicUsize::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// Returns the number of workers.
    pub fn workers(&self) -> usize {
        self.inner.workers.len()
    }

    /// Spawns a task on a worker: `task` is called there and makes the future, which need not be
    /// `Send`. Returns a handle of its output.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the worker has ended, and
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is no such worker.
    pub fn spawn_on<F>(
        &self,
        worker: usize,
        task: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<RemoteJoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let shared = self.inner.workers.get(worker).ok_or_else(|| {
            let workers = self.workers();
            let message = format!("there is no worker {worker}: the stack has {workers}");
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        let (report, handle) = result();
        let job = move || -> crate::net::executor::queue::LocalFuture {
            let task = spawn(task());
            Box::pin(report.of(task))
        };
        shared.push_job(Box::new(job)).map_err(|_| ended())?;
        Ok(handle)
    }

    /// Opens a connection on one of the workers, in turn, and waits for the end of the handshake.
    /// Dropping the future gives up the open.
    ///
    /// # Errors
    /// As [`TcpSocket::connect`](crate::net::TcpSocket::connect).
    pub async fn connect(&self, target: impl ToAddress) -> io::Result<RemoteStream> {
        let target = target.to_address()?;
        let turn = self.inner.connects.fetch_add(1, Ordering::Relaxed);
        let stream = self.open(turn % self.workers(), target)?;
        poll_fn(|cx| stream.poll_opened(cx)).await?;
        Ok(stream)
    }

    /// Listens on an address of the stack, on all workers. The unspecified address listens on all
    /// of them.
    ///
    /// # Errors
    /// As [`TcpListener::bind`](crate::net::TcpListener::bind).
    pub async fn listen(&self, address: impl ToAddress) -> io::Result<RemoteListener> {
        let address = address.to_address()?;
        let seats: io::Result<Vec<_>> =
            (0..self.workers()).map(|worker| self.new_seat(worker)).collect();
        let listener = RemoteListener::new(seats?, address);
        poll_fn(|cx| listener.poll_listening(cx)).await?;
        Ok(listener)
    }

    /// Sends the SYN from a seat of this thread.
    fn open(&self, worker: usize, target: SocketAddr) -> io::Result<RemoteStream> {
        let key = (thread::current().id(), worker);
        let mut seats = self.inner.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let own = seats.entry(key).or_default();
        own.retain(|seat| !seat.is_over());
        for seat in &*own {
            if let Some(stream) = begin(seat, target) {
                return Ok(stream);
            }
        }
        let seat = self.new_seat(worker)?;
        own.push(Arc::clone(&seat));
        // Seats of threads that have ended are used by their streams only.
        seats.retain(|(thread, _), seats| {
            seats.retain(|seat| *thread == key.0 || Arc::strong_count(seat) > 1);
            !seats.is_empty()
        });
        drop(seats);
        begin(&seat, target).ok_or_else(ended)
    }

    /// Makes a seat at a worker.
    fn new_seat(&self, worker: usize) -> io::Result<Arc<Seat>> {
        let shared = &self.inner.workers[worker];
        let (seat, end) = Seat::new(shared)?;
        let weak = Arc::downgrade(&seat);
        shared.push_job(Box::new(move || Box::pin(serve(end, weak)))).map_err(|_| ended())?;
        Ok(seat)
    }
}

fn begin(seat: &Arc<Seat>, target: SocketAddr) -> Option<RemoteStream> {
    let begun = seat.with(|client| client.begin(op::CONNECT, target));
    begun.map(|stream| RemoteStream::new(Arc::clone(seat), stream))
}

impl Executor {
    /// Creates an executor as [`new`](Self::new) does, and the handle by which other threads reach
    /// it.
    pub fn with_handle<F>(main: impl FnOnce() -> F + 'static) -> (Self, Handle)
    where
        F: Future<Output = ()> + 'static,
    {
        let shared = Shared::new();
        let handle = Handle::of(vec![Arc::clone(&shared)]);
        (Self::with_shared(shared, main), handle)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("workers", &self.workers()).finish_non_exhaustive()
    }
}
