//! Daytime (RFC 867): sends one line with the time, closes first, and discards what the peer sends.

use std::time::SystemTime;

use linerate::shard::{ConnId, Io, ListenerId, Service};

use super::buffer::BUFFER_BYTES;
use crate::civil::Civil;

/// One worker's daytime service.
pub(super) struct Daytime {
    drain: Box<[u8]>,
    now: fn() -> SystemTime,
}

impl Daytime {
    /// Creates the service on the host's clock.
    pub(super) fn new() -> Self {
        Self { drain: vec![0; BUFFER_BYTES].into_boxed_slice(), now: SystemTime::now }
    }
}

impl Service for Daytime {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        let line = Civil::of((self.now)()).daytime_line();
        if io.write(conn, line.as_bytes()) < line.len() {
            // A new connection without room for one line means that the stack is out of memory.
            return io.abort(conn);
        }
        io.close(conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        while io.read(conn, &mut self.drain) > 0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::*;

    #[test]
    fn it_sends_one_line_then_closes_then_still_reads() {
        let now = || SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(951_827_696);
        let mut t = Script::of(Daytime { now, ..Daytime::new() });
        t.accepts();
        assert_eq!(t.sent(), b"Tuesday, February 29, 2000 12:34:56-UTC\r\n");
        assert!(t.is_closed());
        t.gets(b"late");
        assert_eq!(t.unread(), 0);
    }
}
