//! A TCP connection of a worker: the stream, and the polls that everything else is built on.

use core::mem::take;
use core::task::{Context, Poll, Waker};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use crate::net::error;
use crate::net::executor::core::{Core, Departure};
use crate::net::executor::slots::Slot;
use crate::shard::{CloseReason, ConnId, ConnInfo, Io, SocketOption, Status};
use crate::time::Duration;

/// A TCP connection of this worker.
///
/// Opened with [`connect`](Self::connect) or accepted by a
/// [`TcpListener`](crate::net::TcpListener). Data that is written leaves at the end of the turn;
/// what is not read closes the receive window, and the peer stops sending.
///
/// Dropping a stream closes it as the close of a kernel socket does: what was written is still
/// sent, then FIN; unread data resets the connection. [`set_linger`](Self::set_linger) changes
/// that. A stream of a task that panics is reset.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use linerate::net::TcpStream;
///
/// let mut stream = TcpStream::connect("10.0.0.1:7").await?;
/// stream.write_all(b"hello").await?;
/// let mut answer = [0; 5];
/// stream.read_exact(&mut answer).await?;
/// # Ok(())
/// # }
/// ```
pub struct TcpStream {
    core: Rc<Core>,
    conn: ConnId,
}

/// Bytes read at once on a stack that cannot show its buffers.
const READ_MAX: usize = 64 * 1024;

/// The direction that a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

impl TcpStream {
    /// Takes over a connection of the shard.
    pub(in crate::net) fn adopt(core: &Rc<Core>, conn: ConnId) -> Self {
        core.slots.borrow_mut().adopt(conn);
        Self { core: Rc::clone(core), conn }
    }

    /// Polls the end of the handshake.
    pub(in crate::net) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_io(|io| match self.state(io) {
            State::Opening => self.wait(Direction::Write, cx),
            State::Open | State::PeerClosed => Poll::Ready(Ok(())),
            State::Ended(reason) => Poll::Ready(Err(error::of_write(reason))),
        })
    }

    /// Polls received data in place: calls `take` with it, in two parts, and drops as many bytes as
    /// the first of what it returns. Ready with `None` at the end of the stream.
    ///
    /// On a stack that cannot show its buffers this fails, since what `take` leaves would be lost.
    pub(in crate::net) fn poll_received<R>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce([&[u8]; 2]) -> (usize, R),
    ) -> Poll<io::Result<Option<R>>> {
        self.poll_io(|io| {
            if !io.can_peek() {
                return Poll::Ready(Err(error::no_peek()));
            }
            match self.show(io, take) {
                Some(result) => Poll::Ready(Ok(Some(result))),
                None => self.poll_end(io, cx),
            }
        })
    }

    /// Polls received data as [`poll_received`](Self::poll_received) does, on every stack: `take`
    /// must take up to `room` bytes.
    pub(in crate::net) fn poll_taken<R>(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        take: impl FnOnce([&[u8]; 2]) -> (usize, R),
    ) -> Poll<io::Result<Option<R>>> {
        self.poll_io(|io| {
            let taken =
                if io.can_peek() { self.show(io, take) } else { self.copy_out(io, room, take) };
            match taken {
                Some(result) => Poll::Ready(Ok(Some(result))),
                None => self.poll_end(io, cx),
            }
        })
    }

    /// Calls `take` with what has arrived, where the stack keeps it.
    fn show<R>(&self, io: &mut dyn Io, take: impl FnOnce([&[u8]; 2]) -> (usize, R)) -> Option<R> {
        let parts = io.peek(self.conn);
        if parts[0].is_empty() {
            return None;
        }
        let (n, result) = take(parts);
        io.consume(self.conn, n);
        Some(result)
    }

    /// Reads at most `room` bytes of what has arrived, and calls `take` with them.
    fn copy_out<R>(
        &self,
        io: &mut dyn Io,
        room: usize,
        take: impl FnOnce([&[u8]; 2]) -> (usize, R),
    ) -> Option<R> {
        let mut scratch = self.core.scratch.borrow_mut();
        scratch.resize(READ_MAX, 0);
        let n = io.read(self.conn, &mut scratch[..room.min(READ_MAX)]);
        (n > 0).then(|| take([&scratch[..n], &[]]).1)
    }

    /// Polls the end of the stream: nothing has arrived that was not taken.
    fn poll_end<R>(&self, io: &mut dyn Io, cx: &mut Context<'_>) -> Poll<io::Result<Option<R>>> {
        match self.state(io) {
            _ if self.slot(|slot| slot.is_read_shut()).unwrap_or(false) => Poll::Ready(Ok(None)),
            State::Opening | State::Open => self.wait(Direction::Read, cx),
            State::PeerClosed => Poll::Ready(Ok(None)),
            State::Ended(reason) => match error::of_close(reason) {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Ready(Ok(None)),
            },
        }
    }

    /// Polls room in the send buffer: `write` writes to the stack and returns the number of bytes
    /// accepted. An empty write is ready at once.
    pub(in crate::net) fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        is_empty: bool,
        write: impl FnOnce(&mut dyn Io, ConnId) -> usize,
    ) -> Poll<io::Result<usize>> {
        self.poll_io(|io| {
            if self.slot(|slot| slot.is_write_shut()).unwrap_or(false) {
                return Poll::Ready(Err(error::broken_pipe()));
            }
            let n = write(io, self.conn);
            if n > 0 {
                return Poll::Ready(Ok(n));
            }
            match self.state(io) {
                State::Ended(reason) => Poll::Ready(Err(error::of_write(reason))),
                _ if is_empty => Poll::Ready(Ok(0)),
                _ => self.wait(Direction::Write, cx),
            }
        })
    }

    /// Polls data: copies it into `buffer`.
    pub(in crate::net) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let copied = self.poll_taken(cx, buffer.len(), |parts| {
            let n = copy_parts(parts, buffer);
            (n, n)
        });
        copied.map_ok(|n| n.unwrap_or(0))
    }

    /// Calls `call` with the stack and the handle, if the stack is reachable.
    pub(in crate::net) fn with_io<R>(
        &self,
        call: impl FnOnce(&mut dyn Io, ConnId) -> R,
    ) -> Option<R> {
        self.core.with_io(|io| call(io, self.conn))
    }

    /// Polls room: writes from `bytes`.
    pub(in crate::net) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, bytes.is_empty(), |io, conn| io.write(conn, bytes))
    }

    /// Polls room: writes from `slices`.
    pub(in crate::net) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_empty = slices.iter().all(|slice| slice.is_empty());
        self.poll_write_with(cx, is_empty, |io, conn| io.write_slices(conn, slices))
    }

    /// Closes a direction. [`Shutdown::Write`] sends FIN after all data written so far; the peer
    /// may still send (half-close). After [`Shutdown::Read`] reads return 0, and what arrives is
    /// discarded when the stream is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`] after the end of the connection.
    pub fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.slot(Slot::shut_read);
            self.wake(Direction::Read);
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.close_write()?;
        }
        Ok(())
    }

    /// Sends FIN after all data written so far.
    pub(in crate::net) fn close_write(&self) -> io::Result<()> {
        self.slot(Slot::shut_write);
        self.wake(Direction::Write);
        let closed = self.core.with_io(|io| match self.state(io) {
            State::Ended(CloseReason::Finished) => Ok(()),
            State::Ended(reason) => Err(error::of_write(reason)),
            State::Opening | State::Open | State::PeerClosed => {
                io.close(self.conn);
                Ok(())
            }
        });
        closed.unwrap_or_else(|| Err(error::no_stack()))
    }

    /// Resets the connection.
    pub fn abort(self) {
        self.core.lingers.borrow_mut().insert(self.conn, Duration::ZERO);
    }

    /// Sets an option of the connection.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`] outside the worker's tasks. An option that comes too late has no
    /// effect.
    pub fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.core.with_io(|io| io.set_option(self.conn, option)).ok_or_else(error::no_stack)
    }

    /// Turns Nagle's algorithm off, or on: small segments leave at once.
    ///
    /// # Errors
    /// As [`set_option`](Self::set_option).
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set_option(SocketOption::Nagle(!nodelay))
    }

    /// Sets how long a dropped stream may take to close before it is reset; zero resets it at once.
    /// `None`, the default, leaves it to the stack's limits.
    pub fn set_linger(&self, linger: Option<impl Into<Duration>>) {
        let mut lingers = self.core.lingers.borrow_mut();
        match linger {
            Some(span) => drop(lingers.insert(self.conn, span.into())),
            None => drop(lingers.remove(&self.conn)),
        }
    }

    /// Returns the local address and port.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`] after the end of the connection.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoints().map(|(local, _)| local)
    }

    /// Returns the address and port of the peer.
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`] after the end of the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.endpoints().map(|(_, remote)| remote)
    }

    fn endpoints(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let endpoints = self.core.with_io(|io| io.endpoints(self.conn));
        let over = || io::Error::new(ErrorKind::NotConnected, "the connection is over");
        endpoints.ok_or_else(error::no_stack)?.ok_or_else(over)
    }

    /// Returns the state of the connection, like `ss -ti`; `None` once it is over.
    pub fn tcp_info(&self) -> Option<ConnInfo> {
        self.core.with_io(|io| io.info(self.conn)).flatten()
    }

    /// Returns the shard's handle of the connection.
    pub const fn id(&self) -> ConnId {
        self.conn
    }

    fn poll_io<T>(
        &self,
        poll: impl FnOnce(&mut dyn Io) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.core.with_io(poll).unwrap_or_else(|| Poll::Ready(Err(error::no_stack())))
    }

    /// Returns the state, also of a connection that the stack has forgotten.
    fn state(&self, io: &dyn Io) -> State {
        match io.status(self.conn) {
            Status::Opening => State::Opening,
            Status::Open { peer_closed: false } => State::Open,
            Status::Open { peer_closed: true } => State::PeerClosed,
            Status::Closed(reason) => State::Ended(reason),
            Status::Stale => {
                let reason = self.core.slots.borrow_mut().reason(self.conn);
                State::Ended(reason.unwrap_or(CloseReason::Aborted))
            }
        }
    }

    fn slot<R>(&self, call: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        self.core.slots.borrow_mut().at(self.conn).map(call)
    }

    /// Registers the task that polls.
    fn wait<T>(&self, direction: Direction, cx: &mut Context<'_>) -> Poll<T> {
        let former = self.slot(|slot| {
            let waker = waker_of(slot, direction);
            match waker {
                Some(known) if known.will_wake(cx.waker()) => None,
                _ => waker.replace(cx.waker().clone()),
            }
        });
        // Dropped after the slots are no longer borrowed: a waker may own a task that owns streams.
        drop(former);
        Poll::Pending
    }

    fn wake(&self, direction: Direction) {
        let waker = self.slot(|slot| take(waker_of(slot, direction))).flatten();
        waker.into_iter().for_each(Waker::wake);
    }

    /// Returns true while a task that has panicked is unwound or dropped.
    fn is_panicking(&self) -> bool {
        self.core.is_panicking.get() || std::thread::panicking()
    }

    /// Resets the connection if the task that drops a half of it has panicked: what its peer has
    /// received must not look complete.
    pub(in crate::net) fn abort_in_panic(&self) {
        if self.is_panicking() {
            self.core.leave(self.conn, Departure::Abort);
        }
    }

    fn departure(&self) -> Departure {
        let linger = self.core.lingers.borrow_mut().remove(&self.conn);
        match linger {
            _ if self.is_panicking() => Departure::Abort,
            None => Departure::Close,
            Some(Duration::ZERO) => Departure::Abort,
            Some(span) => Departure::CloseWithin(span),
        }
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let departure = self.departure();
        self.core.leave(self.conn, departure);
        let wakers = self.core.slots.borrow_mut().release(self.conn);
        drop(wakers);
    }
}

impl core::fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TcpStream").field("conn", &self.conn).finish_non_exhaustive()
    }
}

/// The state of a stream's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    PeerClosed,
    Ended(CloseReason),
}

fn waker_of(slot: &mut Slot, direction: Direction) -> &mut Option<Waker> {
    match direction {
        Direction::Read => &mut slot.reader,
        Direction::Write => &mut slot.writer,
    }
}

/// Copies as much of the parts as fits, and returns the number of bytes.
pub(in crate::net) fn copy_parts(parts: [&[u8]; 2], buffer: &mut [u8]) -> usize {
    let first = parts[0].len().min(buffer.len());
    buffer[..first].copy_from_slice(&parts[0][..first]);
    let second = parts[1].len().min(buffer.len() - first);
    buffer[first..first + second].copy_from_slice(&parts[1][..second]);
    first + second
}
