//! Close: accepts connections, sends nothing, and closes when the peer closes.

use linerate::shard::{ConnId, Io, Service};

/// One worker's close service.
pub(super) struct Close {
    /// Read buffer. Small, since no data is expected, but unread data would turn the close into a
    /// reset.
    buffer: [u8; 2048],
}

impl Close {
    /// Creates the service.
    pub(super) fn new() -> Self {
        Self { buffer: [0; 2048] }
    }
}

impl Service for Close {
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        while io.read(conn, &mut self.buffer) > 0 {}
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.close(conn);
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn it_closes_when_the_peer_does_and_not_before() {
        let mut t = Script::of(Close::new());
        t.accepts();
        t.gets(b"unexpected");
        assert!(!t.is_closed() && t.unread() == 0);
        t.peer_closes();
        assert!(t.is_closed() && t.sent().is_empty());
    }
}
