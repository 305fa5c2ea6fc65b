//! Echo (RFC 862): sends back what it receives.
//!
//! Reads only what it can write at once, so that our receive window closes if the peer does not
//! read its echo. When the peer closes, sends the rest and then closes.

use linerate::shard::{ConnId, Io, Service};

use super::buffer::BUFFER_BYTES;

/// User data of a connection whose peer has closed its direction.
const PEER_CLOSED: u64 = 1;

/// One worker's echo service.
pub(super) struct Echo {
    buffer: Box<[u8]>,
}

impl Echo {
    /// Creates the service with its copy buffer.
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into_boxed_slice() }
    }

    /// Copies until no data is left to read or no room to write.
    fn pump(&mut self, io: &mut dyn Io, conn: ConnId) {
        loop {
            let room = io.write_room(conn).min(self.buffer.len());
            if room == 0 {
                // Only a short write triggers `on_writable`. Without room this write accepts
                // nothing.
                io.write(conn, &[0]);
                return;
            }
            let read = io.read(conn, &mut self.buffer[..room]);
            if read == 0 {
                break;
            }
            if io.write(conn, &self.buffer[..read]) < read {
                // The promised room is gone: memory ran out. Abort rather than lose bytes of the
                // echo.
                return io.abort(conn);
            }
        }
        if io.user_data(conn) == PEER_CLOSED {
            io.close(conn);
        }
    }
}

impl Service for Echo {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.pump(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.pump(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.set_user_data(conn, PEER_CLOSED);
        self.pump(io, conn);
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn received_data_is_sent_back() {
        let mut t = Script::of(Echo::new());
        t.accepts();
        t.gets(b"hello");
        assert_eq!(t.sent(), b"hello");
        assert!(!t.is_closed());
    }

    #[test]
    fn reading_stops_while_the_peer_does_not_read() {
        let mut t = Script::of(Echo::new()).room(3);
        t.accepts();
        t.gets(b"hello");
        assert_eq!((t.sent(), t.unread()), (&b"hel"[..], 2));
        t.makes_room(10);
        assert_eq!((t.sent(), t.unread()), (&b"hello"[..], 0));
    }

    #[test]
    fn an_incomplete_echo_is_aborted() {
        let mut t = Script::of(Echo::new()).memory(3);
        t.accepts();
        t.gets(b"hello");
        assert!(t.is_aborted());
    }

    #[test]
    fn the_rest_is_sent_before_the_close() {
        let mut t = Script::of(Echo::new()).room(3);
        t.accepts();
        t.gets(b"hello");
        t.peer_closes();
        assert!(!t.is_closed());
        t.makes_room(10);
        assert_eq!(t.sent(), b"hello");
        assert!(t.is_closed());
    }

    #[test]
    fn a_connection_without_data_is_closed_when_the_peer_closes() {
        let mut t = Script::of(Echo::new());
        t.accepts();
        t.peer_closes();
        assert!(t.is_closed());
    }
}
