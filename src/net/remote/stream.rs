//! A TCP connection that another thread uses.

use core::fmt;
use core::task::{Context, Poll};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::blocking::{block_on, block_on_for};
use super::protocol::flag;
use super::seat::{Client, Seat};
use super::slots::{Found, Slot};

/// A TCP connection of a worker, used from any other thread.
///
/// It is `Send` and `Sync`. Use it in one of two ways:
///
/// - async, in any runtime: it implements `AsyncRead` and `AsyncWrite` of tokio and futures-io
///   (with the features of these names);
/// - blocking: it implements [`std::io::Read`] and [`std::io::Write`], and so does a reference to
///   it, so that two threads can share one stream.
///
/// Bytes are copied into a ring of 64 KiB in each direction, from which the worker sends. Dropping
/// the stream closes it as the close of a kernel socket does.
pub struct RemoteStream {
    seat: Arc<Seat>,
    stream: u32,
    timeouts: Mutex<Timeouts>,
}

/// The longest waits of blocking calls.
#[derive(Clone, Copy, Debug, Default)]
struct Timeouts {
    read: Option<Duration>,
    write: Option<Duration>,
}

impl RemoteStream {
    pub(super) fn new(seat: Arc<Seat>, stream: u32) -> Self {
        Self { seat, stream, timeouts: Mutex::default() }
    }

    fn slot<R>(&self, call: impl FnOnce(&mut Slot) -> R) -> R {
        self.seat.with(|client| call(client.slot(self.stream)))
    }

    /// Polls the end of the handshake.
    pub(super) fn poll_opened(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seat.with(|client| match client.slot(self.stream).opened() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                client.wait_to_write(self.stream, cx.waker());
                Poll::Pending
            }
        })
    }

    /// Polls received bytes: copies them into `buffer`. Ready with 0 at the end of the stream.
    ///
    /// # Errors
    /// As [`TcpStream::read`](crate::net::TcpStream::read); and
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the stack has stopped.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.seat.with(|client| {
            let found = client.slot(self.stream).read(buffer);
            self.outcome(client, found, |client| client.wait_to_read(self.stream, cx.waker()))
        })
    }

    /// Polls room: queues from `bytes` for sending. Returns the number of bytes accepted.
    ///
    /// # Errors
    /// As [`TcpStream::write`](crate::net::TcpStream::write); and
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the stack has stopped.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// Polls room: queues from `slices` for sending, one after the other.
    ///
    /// # Errors
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        self.seat.with(|client| {
            let found = write_slices(client.slot(self.stream), slices);
            self.outcome(client, found, |client| client.wait_to_write(self.stream, cx.waker()))
        })
    }

    fn outcome(
        &self,
        client: &mut Client,
        found: Found,
        wait: impl FnOnce(&mut Client),
    ) -> Poll<io::Result<usize>> {
        match found {
            Found::Moved(bytes, flags) => {
                client.post(self.stream, flags);
                Poll::Ready(Ok(bytes))
            }
            Found::Nothing(flags) => {
                client.post(self.stream, flags);
                wait(client);
                Poll::Pending
            }
            Found::End => Poll::Ready(Ok(0)),
            Found::Failed(error) => Poll::Ready(Err(error)),
        }
    }

    /// Closes the sending direction: FIN follows what was written. [`Shutdown::Read`] has no
    /// effect: what arrives is discarded when the stream is dropped.
    pub fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Read {
            self.seat.with(|client| {
                let flags = client.slot(self.stream).shut_write();
                client.post(self.stream, flags);
            });
        }
    }

    /// Turns Nagle's algorithm off, or on.
    pub fn set_nodelay(&self, nodelay: bool) {
        let flags = if nodelay { flag::NODELAY } else { flag::DELAY };
        self.seat.with(|client| client.post(self.stream, flags));
    }

    /// Resets the connection.
    pub fn abort(self) {
        self.seat.with(|client| client.post(self.stream, flag::ABORT));
    }

    /// Returns the local address and port.
    pub fn local_addr(&self) -> SocketAddr {
        self.slot(|slot| slot.local)
    }

    /// Returns the address and port of the peer.
    pub fn peer_addr(&self) -> SocketAddr {
        self.slot(|slot| slot.peer)
    }

    /// Sets how long a blocking read waits; `None`, the default, waits for ever. A read that has
    /// waited for so long fails with [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn set_read_timeout(&self, limit: Option<Duration>) {
        self.timeouts().read = limit;
    }

    /// Sets how long a blocking write waits; see [`set_read_timeout`](Self::set_read_timeout).
    pub fn set_write_timeout(&self, limit: Option<Duration>) {
        self.timeouts().write = limit;
    }

    fn timeouts(&self) -> std::sync::MutexGuard<'_, Timeouts> {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_slices(slot: &mut Slot, slices: &[IoSlice<'_>]) -> Found {
    let mut total = (0, 0);
    for slice in slices.iter().filter(|slice| !slice.is_empty()) {
        match slot.write(slice) {
            Found::Moved(bytes, flags) => {
                total = (total.0 + bytes, total.1 | flags);
                if bytes < slice.len() {
                    break;
                }
            }
            other if total.0 == 0 => return other,
            _ => break,
        }
    }
    Found::Moved(total.0, total.1)
}

impl Drop for RemoteStream {
    fn drop(&mut self) {
        self.seat.with(|client| {
            // As a kernel socket's close: unread data resets the connection.
            let unread = client.slot(self.stream).has_unread();
            let flags = if unread { flag::DROPPED | flag::ABORT } else { flag::DROPPED };
            client.drop_stream(self.stream, flags);
        });
    }
}

impl fmt::Debug for RemoteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Read for &RemoteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = self.timeouts().read;
        let read = core::future::poll_fn(|cx| self.poll_read(cx, buffer));
        match limit {
            None => block_on(read),
            Some(limit) => block_on_for(read, limit)?,
        }
    }
}

impl Write for &RemoteStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let limit = self.timeouts().write;
        let write = core::future::poll_fn(|cx| self.poll_write_vectored(cx, slices));
        match limit {
            None => block_on(write),
            Some(limit) => block_on_for(write, limit)?,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for RemoteStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for RemoteStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
