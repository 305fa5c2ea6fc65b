//! One connection over a kernel socket: the descriptor and the engine's state.
//!
//! Owns the edge-triggered readiness, the bounded staging buffer for bytes that a short write left
//! over, and the byte budget per turn. Knows nothing of services and slabs.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use linerate::time::Instant;
use mio::net::TcpStream;

/// Size of the staging buffer: the bytes that `write_room` promises even if the socket's buffer is
/// full.
pub(super) const STAGE: usize = 64 * 1024;

/// Bytes that one connection may read, and may write, per turn. The kernel fills and drains the
/// socket's buffers in the meantime, so without a budget a copying callback might never end.
const TURN_BUDGET: usize = 512 * 1024;

/// Result of a read or write.
#[must_use]
#[derive(Debug)]
pub(super) enum Outcome {
    /// Number of bytes read or accepted.
    Bytes(usize),
    /// End of stream: the peer's FIN.
    End,
    /// The connection failed.
    Failed(io::Error),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Socket {
    /// The descriptor.
    pub stream: TcpStream,
    /// User data of the service.
    pub user: u64,
    /// Time of the call to `connect`.
    pub opened_at: Instant,
    /// True while the handshake of `connect` is in progress.
    pub connecting: bool,
    /// True if a read may return data.
    pub readable: bool,
    /// True once epoll has reported the peer's FIN; unread data may precede it.
    pub fin_arrived: bool,
    /// True once the service has been notified of the peer's FIN.
    pub peer_closed: bool,
    /// True once the service has closed: a FIN follows the staged bytes.
    pub fin_wanted: bool,
    /// True once `shutdown` has been called.
    pub fin_sent: bool,
    /// True if a write was short and the service waits for room.
    pub awaits_room: bool,
    /// True if the socket is registered for writability.
    pub watches_writable: bool,
    /// True once TCP_NODELAY has the configured value.
    pub nodelay_set: bool,
    /// True while the connection is on the worker's list for the next turn.
    pub deferred: bool,
    staged: Vec<u8>,
    staged_from: usize,
    turn: u64,
    read_left: usize,
    write_left: usize,
}

impl Socket {
    /// Creates an active connection whose handshake is in progress.
    pub(super) fn connecting(
        stream: TcpStream,
        user: u64,
        opened_at: Instant,
        nagle: bool,
    ) -> Self {
        Self {
            connecting: true,
            watches_writable: true,
            user,
            opened_at,
            nodelay_set: nagle,
            ..Self::accepted(stream)
        }
    }

    /// Creates a connection from `accept`.
    pub(super) fn accepted(stream: TcpStream) -> Self {
        Self {
            stream,
            user: 0,
            opened_at: Instant::ZERO,
            connecting: false,
            readable: false,
            fin_arrived: false,
            peer_closed: false,
            fin_wanted: false,
            fin_sent: false,
            awaits_room: false,
            watches_writable: false,
            nodelay_set: true,
            deferred: false,
            staged: Vec::new(),
            staged_from: 0,
            turn: 0,
            read_left: TURN_BUDGET,
            write_left: TURN_BUDGET,
        }
    }

    /// Refills the budget when a new turn starts.
    pub(super) fn enter_turn(&mut self, turn: u64) {
        if self.turn != turn {
            self.turn = turn;
            self.read_left = TURN_BUDGET;
            self.write_left = TURN_BUDGET;
        }
    }

    /// Returns true if the read or write budget of this turn is spent.
    pub(super) fn budget_is_spent(&self) -> bool {
        self.read_left == 0 || self.write_left == 0
    }

    /// Spends the write budget of this turn.
    #[cfg(test)]
    pub(super) const fn spend_budget(&mut self) {
        self.write_left = 0;
    }

    /// Reads once. A read that does not fill the buffer has drained the socket (epoll(7)), so the
    /// next call returns without a system call.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Outcome {
        if !self.readable || self.read_left == 0 || buffer.is_empty() {
            return Outcome::Bytes(0);
        }
        let length = buffer.len().min(self.read_left);
        match self.stream.read(&mut buffer[..length]) {
            Ok(0) => {
                self.readable = false;
                Outcome::End
            }
            Ok(read) => {
                self.read_left -= read;
                // If a FIN has arrived, the next read returns end of stream.
                self.readable = read == length || self.fin_arrived;
                Outcome::Bytes(read)
            }
            Err(error) if would_block(&error) => {
                self.readable = false;
                Outcome::Bytes(0)
            }
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Returns the number of bytes that [`write`](Self::write) accepts now.
    pub(super) fn room(&self) -> usize {
        let closed = self.connecting || self.fin_wanted || self.fin_sent;
        if closed || self.is_staging() { 0 } else { self.write_left.min(STAGE) }
    }

    /// Writes to the socket and stages the rest, up to [`room`](Self::room). Returns the bytes
    /// accepted.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Outcome {
        let mut accepted = 0;
        while accepted < bytes.len() {
            let length = (bytes.len() - accepted).min(self.room());
            if length == 0 {
                self.awaits_room = true;
                break;
            }
            if let Err(error) = self.write_or_stage(&bytes[accepted..accepted + length]) {
                return Outcome::Failed(error);
            }
            accepted += length;
        }
        Outcome::Bytes(accepted)
    }

    /// Writes the slices with one system call, and stages the rest, if there is room for all of
    /// them; otherwise one after the other. Returns the bytes accepted.
    pub(super) fn write_slices(&mut self, slices: &[IoSlice<'_>]) -> Outcome {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total <= self.room() {
            return match self.write_or_stage_all(slices, total) {
                Ok(()) => Outcome::Bytes(total),
                Err(error) => Outcome::Failed(error),
            };
        }
        let mut accepted = 0;
        for slice in slices {
            match self.write(slice) {
                Outcome::Bytes(bytes) => accepted += bytes,
                outcome => return outcome,
            }
            if self.room() == 0 {
                break;
            }
        }
        Outcome::Bytes(accepted)
    }

    fn write_or_stage_all(&mut self, slices: &[IoSlice<'_>], total: usize) -> io::Result<()> {
        self.set_nodelay();
        self.write_left -= total;
        let mut written = match self.stream.write_vectored(slices) {
            Ok(written) => written,
            Err(error) if would_block(&error) => 0,
            Err(error) => return Err(error),
        };
        for slice in slices {
            let of_slice = written.min(slice.len());
            self.staged.extend_from_slice(&slice[of_slice..]);
            written -= of_slice;
        }
        Ok(())
    }

    fn write_or_stage(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.set_nodelay();
        self.write_left -= bytes.len();
        match self.stream.write(bytes) {
            Ok(written) => self.staged.extend_from_slice(&bytes[written..]),
            Err(error) if would_block(&error) => self.staged.extend_from_slice(bytes),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn set_nodelay(&mut self) {
        if !self.nodelay_set {
            self.nodelay_set = true;
            // If the connection has failed, the next write returns the error.
            let _ = self.stream.set_nodelay(true);
        }
    }

    /// Returns true if staged bytes wait for room in the socket.
    pub(super) fn is_staging(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Writes the staged bytes to the socket.
    ///
    /// # Errors
    /// Fails if the connection has failed.
    pub(super) fn unstage(&mut self) -> io::Result<()> {
        while self.is_staging() {
            match self.stream.write(&self.staged[self.staged_from..]) {
                Ok(written) => self.staged_from += written,
                Err(error) if would_block(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.staged_from == self.staged.len() {
                // Free the buffer, so that an idle connection holds none.
                self.staged = Vec::new();
                self.staged_from = 0;
            }
        }
        Ok(())
    }

    /// Sends our FIN.
    ///
    /// # Errors
    /// Fails if the connection has failed.
    pub(super) fn send_fin(&mut self) -> io::Result<()> {
        self.fin_sent = true;
        self.stream.shutdown(Shutdown::Write)
    }

    /// Discards unread data: closing a socket with unread data resets the connection.
    pub(super) fn drain(&mut self, scratch: &mut [u8]) {
        self.read_left = TURN_BUDGET;
        while let Outcome::Bytes(1..) = self.read(scratch) {}
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_arrive_in_order_though_the_socket_takes_only_a_part_of_them() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is up");
        let near = std::net::TcpStream::connect(listener.local_addr().expect("bound"));
        let near = near.expect("it listens");
        near.set_nonblocking(true).expect("a socket");
        let (mut far, _) = listener.accept().expect("it has connected");
        let mut socket = Socket::accepted(TcpStream::from_std(near));
        let (mut sent, mut turn) = (Vec::new(), 0);
        while !socket.is_staging() {
            turn += 1;
            socket.enter_turn(turn);
            let parts = [vec![turn as u8; 100], Vec::new(), vec![!turn as u8; 50_000]];
            let slices = parts.each_ref().map(|part| IoSlice::new(part.as_slice()));
            let Outcome::Bytes(accepted) = socket.write_slices(&slices) else {
                panic!("the connection has failed");
            };
            assert_eq!(accepted, 50_100);
            sent.extend(parts.concat());
        }
        let expected = sent.len();
        let reading = std::thread::spawn(move || {
            let mut received = vec![0; expected];
            far.read_exact(&mut received).expect("all of it arrives");
            received
        });
        while socket.is_staging() {
            socket.unstage().expect("the connection is open");
            std::thread::yield_now();
        }
        assert!(reading.join().expect("the reader does not panic") == sent);
    }
}
