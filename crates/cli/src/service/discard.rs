//! Discard (RFC 863): discards what it receives and closes when the peer closes.

use linerate::shard::{ConnId, Io, Service};

use super::buffer::BUFFER_BYTES;

/// One worker's discard service.
pub(super) struct Discard {
    buffer: Box<[u8]>,
}

impl Discard {
    /// Creates the service with its read buffer.
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES].into_boxed_slice() }
    }
}

impl Service for Discard {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        while io.read(conn, &mut self.buffer) > 0 {}
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        while io.read(conn, &mut self.buffer) > 0 {}
        io.close(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn everything_is_read_and_nothing_is_sent() {
        let mut t = Script::of(Discard::new());
        t.accepts();
        t.gets(&[7; 1000]);
        assert_eq!((t.sent().len(), t.unread()), (0, 0));
        t.peer_closes();
        assert!(t.is_closed());
    }
}
