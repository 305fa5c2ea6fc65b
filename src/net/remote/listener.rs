//! Connections accepted on all workers, for other threads.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::protocol::cause_of;
use super::seat::Seat;
use super::stream::RemoteStream;

/// Connections that a worker accepts ahead of the program, which takes them later. Beyond it they
/// wait in the worker's own queue.
const CREDITS: usize = 64;

/// Listens on all workers of a stack, and accepts from another thread. From
/// [`Handle::listen`](super::Handle::listen).
pub struct RemoteListener {
    /// One seat a worker.
    seats: Vec<Arc<Seat>>,
    local: SocketAddr,
}

impl RemoteListener {
    pub(super) fn new(seats: Vec<Arc<Seat>>, local: SocketAddr) -> Self {
        for seat in &seats {
            seat.with(|client| {
                client.listen(local);
                (0..CREDITS).for_each(|_| client.add_credit());
            });
        }
        Self { seats, local }
    }

    /// Polls until all workers listen, or one fails.
    pub(super) fn poll_listening(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut is_pending = false;
        for seat in &self.seats {
            let listening = seat.with(|client| {
                if client.listening.is_none() {
                    client.wait_to_accept(cx.waker());
                }
                client.listening
            });
            match listening.map(cause_of) {
                None => is_pending = true,
                Some(None) => {}
                Some(Some(error)) => return Poll::Ready(Err(error)),
            }
        }
        if is_pending { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Polls for a connection, as [`accept`](Self::accept) does.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub fn poll_accept(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(RemoteStream, SocketAddr)>> {
        let mut failed = None;
        for seat in &self.seats {
            let taken = seat.with(|client| {
                let taken = client.accepted.pop_front();
                match taken {
                    Some(_) => client.add_credit(),
                    None => client.wait_to_accept(cx.waker()),
                }
                taken.ok_or_else(|| client.listening.and_then(cause_of))
            });
            match taken {
                Ok(stream) => {
                    let stream = RemoteStream::new(Arc::clone(seat), stream);
                    let peer = stream.peer_addr();
                    return Poll::Ready(Ok((stream, peer)));
                }
                Err(error) => failed = failed.or(error),
            }
        }
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }

    /// Accepts a connection. Waits until there is one. In a thread without a runtime, use
    /// [`block_on`](super::block_on).
    ///
    /// Cancel safe: an accept that is dropped has taken no connection.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) once the stack drains or has stopped.
    pub async fn accept(&self) -> io::Result<(RemoteStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Returns the address and port that it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for RemoteListener {
    fn drop(&mut self) {
        self.seats.iter().for_each(|seat| seat.with(super::seat::Client::unlisten));
    }
}

impl fmt::Debug for RemoteListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteListener").field("local", &self.local).finish_non_exhaustive()
    }
}
