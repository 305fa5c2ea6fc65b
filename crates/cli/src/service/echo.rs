//! Echo (RFC 862): sends back what it receives. Reads only what it can write at once, so that a peer that
//! does not take its echo sees our window close; when the peer closes, sends what is left, then closes.

use linerate::shard::{ConnId, Io, Service};

use super::CHUNK;

/// The peer has closed its direction: kept in the connection's number.
const PEER_CLOSED: u64 = 1;

/// One worker's echo.
pub struct Echo {
    buffer: Box<[u8]>,
}

impl Echo {
    /// With its copy buffer.
    pub fn new() -> Self {
        Self { buffer: vec![0; CHUNK].into_boxed_slice() }
    }

    /// Copies until there is nothing to read or no room to write.
    fn pump(&mut self, io: &mut dyn Io, conn: ConnId) {
        loop {
            let room = io.write_room(conn).min(self.buffer.len());
            if room == 0 {
                // Only a short write asks to be told of room; without room, none of this byte is taken.
                io.write(conn, &[0]);
                return;
            }
            let read = io.read(conn, &mut self.buffer[..room]);
            if read == 0 {
                break;
            }
            if io.write(conn, &self.buffer[..read]) < read {
                // Room was promised and memory ran out. An echo with a hole in it would be worse.
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
    fn what_comes_goes_back() {
        let mut t = Script::of(Echo::new());
        t.accepts();
        t.gets(b"hello");
        assert_eq!(t.sent(), b"hello");
        assert!(!t.is_closed());
    }

    #[test]
    fn a_peer_that_does_not_read_is_read_from_no_more() {
        let mut t = Script::of(Echo::new()).room(3);
        t.accepts();
        t.gets(b"hello");
        assert_eq!((t.sent(), t.unread()), (&b"hel"[..], 2));
        t.makes_room(10);
        assert_eq!((t.sent(), t.unread()), (&b"hello"[..], 0));
    }

    #[test]
    fn an_echo_that_cannot_be_whole_is_aborted() {
        let mut t = Script::of(Echo::new()).memory(3);
        t.accepts();
        t.gets(b"hello");
        assert!(t.is_aborted());
    }

    #[test]
    fn what_is_left_is_sent_before_the_close() {
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
    fn a_silent_peer_that_closes_is_closed() {
        let mut t = Script::of(Echo::new());
        t.accepts();
        t.peer_closes();
        assert!(t.is_closed());
    }
}
