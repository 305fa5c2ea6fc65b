//! The server without futures: answers the end of each head with the same bytes, and parses
//! nothing else.

use linerate::shard::{ConnId, Io, Service};

use super::answer::RESPONSE;

/// The end of the head of a request (RFC 9112 §2.1).
const HEAD_END: &[u8; 4] = b"\r\n\r\n";

/// Bytes per read.
const CHUNK: usize = 16 * 1024;

/// The state of a connection, packed into its user data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Bytes of [`HEAD_END`] that the received bytes end with.
    matched: usize,
    /// Bytes of responses that the send buffer has not taken yet.
    unsent: usize,
}

impl Progress {
    fn of(user: u64) -> Self {
        Self { matched: (user & 7) as usize, unsent: (user >> 3) as usize }
    }

    fn packed(self) -> u64 {
        (self.unsent as u64) << 3 | self.matched as u64
    }

    /// Searches received bytes for ends of heads; each makes a response due.
    fn receive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == HEAD_END[self.matched] {
                self.matched += 1;
            } else {
                self.matched = usize::from(*byte == HEAD_END[0]);
            }
            if self.matched == HEAD_END.len() {
                self.matched = 0;
                self.unsent += RESPONSE.len();
            }
        }
    }

    /// Returns the rest of the response that is being sent; empty if none is due.
    fn next(self) -> &'static [u8] {
        match self.unsent % RESPONSE.len() {
            0 if self.unsent == 0 => &[],
            0 => RESPONSE,
            rest => &RESPONSE[RESPONSE.len() - rest..],
        }
    }
}

/// One worker's server.
pub(super) struct Callbacks {
    buffer: Box<[u8]>,
}

impl Callbacks {
    /// Creates the server with its read buffer.
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; CHUNK].into_boxed_slice() }
    }

    fn send(io: &mut dyn Io, conn: ConnId, progress: &mut Progress) {
        while progress.unsent > 0 {
            let next = progress.next();
            let written = io.write(conn, next);
            progress.unsent -= written;
            if written < next.len() {
                return;
            }
        }
    }
}

impl Service for Callbacks {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut progress = Progress::of(io.user_data(conn));
        loop {
            let count = io.read(conn, &mut self.buffer);
            if count == 0 {
                break;
            }
            progress.receive(&self.buffer[..count]);
        }
        Self::send(io, conn, &mut progress);
        io.set_user_data(conn, progress.packed());
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut progress = Progress::of(io.user_data(conn));
        Self::send(io, conn, &mut progress);
        io.set_user_data(conn, progress.packed());
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.close(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_in_pieces_makes_one_response_due() {
        let mut progress = Progress::default();
        for piece in [&b"GET / HTTP/1.1\r\nHost: x\r"[..], b"\n\r", b"\r\n\r"] {
            progress.receive(piece);
            progress = Progress::of(progress.packed());
            assert_eq!(progress.next(), b"");
        }
        progress.receive(b"\nGET");
        assert_eq!((progress.next(), progress.matched), (RESPONSE, 0));
    }

    #[test]
    fn a_response_goes_on_where_the_send_buffer_was_full() {
        let mut progress = Progress::default();
        progress.receive(b"\r\n\r\n\r\n\r\n");
        assert_eq!(progress.unsent, 2 * RESPONSE.len());
        progress.unsent -= 10;
        assert_eq!(progress.next(), &RESPONSE[10..]);
        progress.unsent -= RESPONSE.len() - 10;
        assert_eq!(progress.next(), RESPONSE);
        assert_eq!(Progress::of(progress.packed()), progress);
    }
}
