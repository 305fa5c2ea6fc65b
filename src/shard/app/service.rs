//! The interface between a program and the stack: the traits [`Service`] and [`Io`].
//!
//! The command line implements the same traits over kernel sockets (`--stack kernel`), so that one
//! program measures both stacks.

use core::mem::MaybeUninit;
use core::net::SocketAddr;
use std::io::IoSlice;

pub use super::info::{ConnInfo, Memory, Status};
pub use super::options::{ConnectError, ConnectOptions, SocketOption, SoftError};
use crate::shard::fast_open::config::Early;
use crate::shard::flow::id::{ConnId, ListenerId};
use crate::shard::flow::listeners::{ListenError, ListenerConfig};
use crate::shard::flow::service_waker::ServiceWaker;
pub use crate::tcp::congestion::Algorithm;
pub use crate::tcp::{CloseReason, EcnPolicy, KeepAlive, Loss, Repairs, SynData};
use crate::time::{Duration, Instant};

/// The calls that a program makes on its worker's stack. A worker passes an `Io` to every callback
/// of its [`Service`].
///
/// All calls concern connections of this worker only and return at once. What they send leaves
/// before the turn ends.
///
/// # Handles
///
/// A [`ConnId`] names a connection of one worker. It becomes stale when the connection is over: it
/// is already stale inside [`Service::on_closed`], and does not name the next connection that takes
/// the same slot. Every call accepts a stale handle: commands do nothing, and queries return 0 or
/// `None`.
///
/// # Flow control
///
/// [`write`](Io::write) accepts no more than the send buffer holds, and [`Service::on_writable`]
/// reports new room after a short write. If a program stops reading, the receive window closes and
/// the peer stops sending; no data is lost.
pub trait Io {
    /// Returns the time at which the turn began. The clock stands still during a turn.
    fn now(&self) -> Instant;

    /// Opens a connection and sends its SYN in this turn. [`Service::on_connected`] reports
    /// success, [`Service::on_closed`] failure. Data may be written before that; it follows the
    /// handshake.
    ///
    /// # Errors
    /// If the open is impossible on this host. No callback follows.
    fn connect(&mut self, open: &ConnectOptions) -> Result<ConnId, ConnectError>;

    /// Opens a connection with data in the SYN (RFC 7413, TCP Fast Open). Returns the handle and
    /// the number of bytes accepted, as [`write`](Io::write) does.
    ///
    /// The data goes into the SYN if a Fast Open cookie of the server is known, or if `early` says
    /// that the server requires none. Otherwise the data follows the handshake, and the SYN of a
    /// server not tried before requests a cookie.
    ///
    /// The network may duplicate a SYN and deliver the copy much later, so the server may process
    /// the data twice. Use this only for idempotent requests (RFC 7413 §6.1).
    ///
    /// # Errors
    /// As [`connect`](Io::connect).
    fn connect_with(
        &mut self,
        open: &ConnectOptions,
        early: &Early<'_>,
    ) -> Result<(ConnId, usize), ConnectError> {
        let conn = self.connect(open)?;
        Ok((conn, self.write(conn, early.data)))
    }

    /// Returns how many bytes the SYN of [`connect_with`](Io::connect_with) would carry now; `None`
    /// if no cookie of the server is known, or the stack has no Fast Open.
    fn early_room(&mut self, _open: &ConnectOptions, _early: &Early<'_>) -> Option<usize> {
        None
    }

    /// Copies received data into `buffer` and returns the number of bytes copied. Returns 0 if no
    /// data is available now; [`Service::on_peer_closed`] reports the end of the stream.
    fn read(&mut self, conn: ConnId, buffer: &mut [u8]) -> usize;

    /// Copies received data as [`read`](Io::read) does, into memory that need not be initialized.
    /// The first so many bytes of `buffer` as it returns are initialized then.
    fn read_into(&mut self, conn: ConnId, buffer: &mut [MaybeUninit<u8>]) -> usize {
        buffer.iter_mut().for_each(|byte| {
            byte.write(0);
        });
        let mut chunk = [0; 2048];
        let mut filled = 0;
        while filled < buffer.len() {
            let wanted = chunk.len().min(buffer.len() - filled);
            let n = self.read(conn, &mut chunk[..wanted]);
            for (to, from) in buffer[filled..].iter_mut().zip(&chunk[..n]) {
                to.write(*from);
            }
            filled += n;
            if n < wanted {
                break;
            }
        }
        filled
    }

    /// Returns the received data in place, in two parts: the second follows the first, and is empty
    /// unless the ring wraps. Drop what was used with [`consume`](Io::consume). Both are empty on a
    /// stack that cannot show its buffers, see [`can_peek`](Io::can_peek).
    fn peek(&self, _conn: ConnId) -> [&[u8]; 2] {
        [&[], &[]]
    }

    /// Returns true if [`peek`](Io::peek) shows received data. On the kernel's sockets it does not:
    /// the buffers are the kernel's.
    fn can_peek(&self) -> bool {
        false
    }

    /// Drops up to `n` bytes of received data, as reading them does.
    fn consume(&mut self, conn: ConnId, n: usize) {
        let (mut chunk, mut left) = ([0; 2048], n);
        while left > 0 {
            let wanted = left.min(chunk.len());
            let dropped = self.read(conn, &mut chunk[..wanted]);
            if dropped == 0 {
                break;
            }
            left -= dropped;
        }
    }

    /// Appends `bytes` to the send buffer and returns the number of bytes accepted.
    ///
    /// After a short write, [`Service::on_writable`] follows once there is room. Returns 0 after
    /// [`close`](Io::close).
    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> usize;

    /// Appends the slices one after the other, as one [`write`](Io::write) of them joined would,
    /// and returns the total number of bytes accepted. They leave in as few segments as they fit
    /// into.
    fn write_slices(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> usize {
        let mut accepted = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let n = self.write(conn, slice);
            accepted += n;
            if n < slice.len() {
                break;
            }
        }
        accepted
    }

    /// Appends data as [`write`](Io::write) does, and sets the urgent pointer behind its last byte.
    ///
    /// New programs should not use the urgent mechanism (RFC 9293 SHLD-13). A stack without it
    /// sends plain data.
    fn write_urgent(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.write(conn, bytes)
    }

    /// Returns the number of unread bytes up to the urgent pointer, including those that have not
    /// arrived yet; 0 if the stack has no urgent mechanism.
    fn urgent(&self, _conn: ConnId) -> usize {
        0
    }

    /// Returns the number of bytes that [`write`](Io::write) would accept now, if buffer memory is
    /// available.
    fn write_room(&self, conn: ConnId) -> usize;

    /// Returns the number of bytes that [`read`](Io::read) can return now.
    fn readable(&self, conn: ConnId) -> usize;

    /// Closes the sending direction (half-close): sends FIN after all data written so far. Data of
    /// the peer can still be read. Ends a connection that is still waiting for its SYN-ACK.
    fn close(&mut self, conn: ConnId);

    /// Closes both directions: sends FIN after all data written so far, and discards what the peer
    /// sends. Unread data, and data that arrives afterwards, resets the connection.
    ///
    /// The connection stays open until the peer closes too. Their number is limited; beyond the
    /// limit this resets the connection at once.
    fn close_both(&mut self, conn: ConnId);

    /// Closes both directions as [`close_both`](Io::close_both), and resets the connection if it is
    /// not closed by `deadline`. Data that the peer has not acknowledged by then is lost.
    fn close_by(&mut self, conn: ConnId, deadline: Instant);

    /// Resets the connection at once, and discards data not yet sent and not yet read.
    /// [`Service::on_closed`] follows, with [`CloseReason::Aborted`] unless the connection had
    /// ended before.
    fn abort(&mut self, conn: ConnId);

    /// Sets an option of one connection.
    fn set_option(&mut self, conn: ConnId, option: SocketOption);

    /// Returns the program's own number for the connection: 0 for an accepted connection, or the
    /// value of [`ConnectOptions::user`], until it is set.
    fn user_data(&self, conn: ConnId) -> u64;

    /// Sets the program's own number for the connection. The stack does not interpret it.
    fn set_user_data(&mut self, conn: ConnId, user: u64);

    /// Returns the state of a handle, without the figures of [`info`](Io::info).
    fn status(&self, conn: ConnId) -> Status;

    /// Returns the local and the remote address and port; `None` for a stale handle.
    fn endpoints(&self, conn: ConnId) -> Option<(SocketAddr, SocketAddr)> {
        self.info(conn).map(|info| (info.local, info.remote))
    }

    /// Opens a listener while the stack runs. [`Service::on_accept`] reports its connections with
    /// the returned handle.
    ///
    /// # Errors
    /// As [`Shard::listen`](crate::shard::Shard::listen); [`ListenError::Fixed`] on a stack whose
    /// listeners are fixed.
    fn listen(&mut self, _config: &ListenerConfig) -> Result<ListenerId, ListenError> {
        Err(ListenError::Fixed)
    }

    /// Closes a listener. Accepted connections live on.
    fn unlisten(&mut self, _listener: ListenerId) {}

    /// Returns what other threads wake this service with: [`Service::on_wake`] follows.
    fn waker(&self) -> ServiceWaker {
        ServiceWaker::default()
    }

    /// Returns the number of this worker and the number of workers of the stack.
    fn worker(&self) -> (usize, usize) {
        (0, 1)
    }

    /// Reports that a part of the program has panicked and that the service goes on without it. An
    /// operator sees it as a counter and an event of the stack.
    fn report_panic(&mut self, _message: &str) {}

    /// Returns the state of the connection.
    fn info(&self, conn: ConnId) -> Option<ConnInfo>;

    /// Returns the number of segments that this worker has retransmitted on all connections; 0 if
    /// the stack does not know.
    fn retransmissions(&self) -> u64;

    /// Requests a call of [`Service::on_alarm`] at `at`. A worker has one alarm: if one is already
    /// set, the earlier time wins. An alarm fires once and cannot be cancelled.
    fn set_alarm(&mut self, at: Instant);

    /// Stops the service after this turn: it gets no more calls. With several workers, the stack
    /// runs until the services of all workers have stopped.
    fn stop(&mut self);

    /// Returns the number of connections of this worker in any state but TIME-WAIT, handshakes in
    /// progress included.
    fn connections(&self) -> usize;
}

/// A program that runs on a worker.
///
/// The worker calls it back on its own thread, one call at a time, between receiving a batch of
/// frames and sending the replies. A callback must not block: every connection of the worker waits
/// until it returns. Each callback has an empty default; implement those that the program needs.
///
/// ```text
/// Io::connect ──► on_connected ─┐
///                               ├──► on_readable, on_writable, on_peer_closed, … ──► on_closed
///     a peer ───► on_accept ────┘
/// ```
///
/// [`on_accept`](Service::on_accept) or [`on_connected`](Service::on_connected) is the first call
/// for a connection, and [`on_closed`](Service::on_closed) the last. An active open that fails has
/// only the last. Events of one turn are merged: several segments that arrive together cause one
/// call of [`on_readable`](Service::on_readable).
///
/// # Examples
///
/// A service that discards what it receives, and closes when the peer does:
///
/// ```
/// use linerate::shard::{ConnId, Io, Service};
///
/// struct Discard;
///
/// impl Service for Discard {
///     fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
///         let mut buffer = [0; 4096];
///         while io.read(conn, &mut buffer) > 0 {}
///     }
///
///     fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
///         io.close(conn);
///     }
/// }
/// ```
#[allow(unused_variables)]
pub trait Service {
    /// Called once, when the worker has started and its local addresses are verified. The program
    /// can open connections from here on.
    fn on_start(&mut self, io: &mut dyn Io) {}

    /// Called when a passive open reaches ESTABLISHED. With TCP Fast Open it is called as soon as a
    /// SYN with a valid cookie arrives, before the handshake is complete: the program can read the
    /// data and write its reply.
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {}

    /// Called when an active open reaches ESTABLISHED. `took` is the time from the SYN to the
    /// SYN-ACK.
    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {}

    /// Called when new data can be read.
    ///
    /// Edge-triggered: the next call comes only when more data arrives. A program that does not
    /// read everything must remember to read the rest.
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// Called once after a short write, when at least a quarter of the send buffer is free again.
    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// Called when the peer announces urgent data, and again whenever the urgent pointer advances
    /// (RFC 9293 §3.8.5). [`Io::urgent`] returns how much is left. The data is part of the stream
    /// and is read with [`Io::read`].
    fn on_urgent(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// Called when the peer has closed its direction. What [`Io::readable`] reports now is the rest
    /// of the stream. The program can still write, and must close its own direction.
    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {}

    /// Called when an error occurs that does not end the connection (RFC 9293 MUST-47). A program
    /// that does not implement this ignores such errors (SHLD-20).
    fn on_soft_error(&mut self, io: &mut dyn Io, conn: ConnId, error: SoftError) {}

    /// Called once, when the connection is over and all received data has been read or discarded.
    /// `user` is the program's own number for the connection; the handle is stale from now on.
    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, reason: CloseReason) {}

    /// Called when another thread has called [`ServiceWaker::wake`]: before the other callbacks of
    /// the turn, once for all calls since the last turn.
    fn on_wake(&mut self, io: &mut dyn Io) {}

    /// Called when the stack begins to drain: its listeners are closed, and it stops once all
    /// connections are closed. The service finishes what is under way and closes its connections.
    /// At `deadline` those left are reset.
    fn on_drain(&mut self, io: &mut dyn Io, deadline: Instant) {}

    /// Called in every turn after all other callbacks and the timers, before output is built. Write
    /// here what should leave in this turn.
    fn on_turn_end(&mut self, io: &mut dyn Io) {}

    /// Called when the time set with [`Io::set_alarm`] has come. The alarm is then unset.
    fn on_alarm(&mut self, io: &mut dyn Io) {}
}
