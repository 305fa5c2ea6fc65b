//! One connection over a kernel socket: what the engine remembers beside the descriptor.
//!
//! Owns the edge-triggered readiness, the bounded store of bytes that a short write left over, and the
//! share of a turn that one connection may use. Refuses to know services and slabs.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use linerate::time::Instant;
use mio::net::TcpStream;

/// Bytes that a write may leave to us when the socket's buffer is full; what `write_room` promises.
pub const STAGE: usize = 64 * 1024;

/// Bytes one connection may read, and write, in one turn before the others have theirs. The socket's
/// buffers fill and empty while we work, so that nothing else ends a callback that copies.
const TURN_SHARE: usize = 512 * 1024;

/// What became of an operation that needs the socket.
#[must_use]
#[derive(Debug)]
pub enum Outcome {
    /// So many bytes.
    Bytes(usize),
    /// None, and the peer's FIN is read.
    End,
    /// The connection is broken.
    Broken(io::Error),
}

/// A connection.
#[derive(Debug)]
pub struct Socket {
    /// The descriptor.
    pub stream: TcpStream,
    /// The service's own number.
    pub user: u64,
    /// When `connect` was called.
    pub opened_at: Instant,
    /// `connect` is under way.
    pub connecting: bool,
    /// There may be something to read.
    pub readable: bool,
    /// An edge told that the peer's FIN stands behind what is readable.
    pub fin_arrived: bool,
    /// The service was told of the peer's FIN.
    pub peer_closed: bool,
    /// The service wants no more writes: FIN after what is staged.
    pub fin_wanted: bool,
    /// `shutdown` was called.
    pub fin_sent: bool,
    /// The service awaits room.
    pub room_wanted: bool,
    /// epoll tells when there is room.
    pub room_watched: bool,
    /// TCP_NODELAY is as asked for.
    pub nodelay_set: bool,
    /// On the worker's list of connections to look at again in the next turn.
    pub deferred: bool,
    staged: Vec<u8>,
    staged_from: usize,
    turn: u64,
    read_left: usize,
    write_left: usize,
}

impl Socket {
    /// A connection whose handshake is under way.
    pub fn connecting(stream: TcpStream, user: u64, opened_at: Instant, nagle: bool) -> Self {
        Self {
            connecting: true,
            room_watched: true,
            user,
            opened_at,
            nodelay_set: nagle,
            ..Self::accepted(stream)
        }
    }

    /// A connection as it comes from `accept`.
    pub fn accepted(stream: TcpStream) -> Self {
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
            room_wanted: false,
            room_watched: false,
            nodelay_set: true,
            deferred: false,
            staged: Vec::new(),
            staged_from: 0,
            turn: 0,
            read_left: TURN_SHARE,
            write_left: TURN_SHARE,
        }
    }

    /// Gives the connection its share anew in a new turn.
    pub fn enter_turn(&mut self, turn: u64) {
        if self.turn != turn {
            self.turn = turn;
            self.read_left = TURN_SHARE;
            self.write_left = TURN_SHARE;
        }
    }

    /// Whether this turn's share of reading or writing is used up.
    pub fn share_is_spent(&self) -> bool {
        self.read_left == 0 || self.write_left == 0
    }

    /// As if it had written all that it may in this turn.
    #[cfg(test)]
    pub const fn spend_share(&mut self) {
        self.write_left = 0;
    }

    /// Reads once. A read that does not fill the buffer has emptied the socket (epoll(7)), so that the
    /// next one need not ask.
    pub fn read(&mut self, buffer: &mut [u8]) -> Outcome {
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
                // Behind a short read stands the FIN, if one has arrived: the next read finds it.
                self.readable = read == length || self.fin_arrived;
                Outcome::Bytes(read)
            }
            Err(error) if is_again(&error) => {
                self.readable = false;
                Outcome::Bytes(0)
            }
            Err(error) => Outcome::Broken(error),
        }
    }

    /// Bytes that [`write`](Self::write) takes now.
    pub fn room(&self) -> usize {
        let closed = self.connecting || self.fin_wanted || self.fin_sent;
        if closed || self.is_staging() { 0 } else { self.write_left.min(STAGE) }
    }

    /// Writes as much as the socket takes and keeps the rest, up to [`room`](Self::room).
    pub fn write(&mut self, bytes: &[u8]) -> Outcome {
        let mut taken = 0;
        while taken < bytes.len() {
            let length = (bytes.len() - taken).min(self.room());
            if length == 0 {
                self.room_wanted = true;
                break;
            }
            if let Err(error) = self.write_or_stage(&bytes[taken..taken + length]) {
                return Outcome::Broken(error);
            }
            taken += length;
        }
        Outcome::Bytes(taken)
    }

    fn write_or_stage(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.nodelay_set {
            self.nodelay_set = true;
            // A connection broken by now says so at the write.
            let _ = self.stream.set_nodelay(true);
        }
        self.write_left -= bytes.len();
        match self.stream.write(bytes) {
            Ok(written) => self.staged.extend_from_slice(&bytes[written..]),
            Err(error) if is_again(&error) => self.staged.extend_from_slice(bytes),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether bytes wait for room in the socket.
    pub fn is_staging(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Passes on what was kept.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn unstage(&mut self) -> io::Result<()> {
        while self.is_staging() {
            match self.stream.write(&self.staged[self.staged_from..]) {
                Ok(written) => self.staged_from += written,
                Err(error) if is_again(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.staged_from == self.staged.len() {
                // An idle connection keeps no buffer.
                self.staged = Vec::new();
                self.staged_from = 0;
            }
        }
        Ok(())
    }

    /// Sends our FIN.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn send_fin(&mut self) -> io::Result<()> {
        self.fin_sent = true;
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads and drops what is there, since closing with unread data resets the connection.
    pub fn drain(&mut self, scratch: &mut [u8]) {
        self.read_left = TURN_SHARE;
        while let Outcome::Bytes(1..) = self.read(scratch) {}
    }
}

fn is_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
