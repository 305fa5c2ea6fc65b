//! Character generator (RFC 864): streams a repeating printable pattern as fast as the peer reads,
//! until the peer closes or resets the connection.

use linerate::shard::{ConnId, Io, ListenerId, Service};

use super::buffer::BUFFER_BYTES;

/// RFC 864: lines of 72 of the 95 printable characters, each line shifted by one, ended by CR LF.
const LINE: usize = 74;
const PERIOD: usize = 95 * LINE;

/// One worker's generator. The user data of a connection is its offset in the pattern.
pub(super) struct Chargen {
    /// The pattern plus one buffer: a full buffer follows every offset.
    pattern: Box<[u8]>,
    drain: Box<[u8]>,
}

impl Chargen {
    /// Creates a generator with its pattern.
    pub(super) fn new() -> Self {
        let pattern = (0..PERIOD + BUFFER_BYTES).map(character).collect();
        Self { pattern, drain: vec![0; BUFFER_BYTES].into_boxed_slice() }
    }

    fn fill(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut offset = io.user_data(conn) as usize % PERIOD;
        loop {
            // Write until a write is short: only a short write triggers `on_writable`.
            let accepted = io.write(conn, &self.pattern[offset..offset + BUFFER_BYTES]);
            offset = (offset + accepted) % PERIOD;
            if accepted < BUFFER_BYTES {
                break;
            }
        }
        io.set_user_data(conn, offset as u64);
    }
}

/// Returns the byte of the pattern at an offset.
fn character(offset: usize) -> u8 {
    let (line, column) = (offset / LINE, offset % LINE);
    match column {
        72 => b'\r',
        73 => b'\n',
        _ => b' ' + ((line + column) % 95) as u8,
    }
}

impl Service for Chargen {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        self.fill(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.fill(io, conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        // RFC 864: "Any data received is thrown away."
        while io.read(conn, &mut self.drain) > 0 {}
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
    fn the_pattern_continues_where_the_last_write_ended() {
        let mut t = Script::of(Chargen::new()).room(100);
        t.accepts();
        assert_eq!(t.sent().len(), 100);
        t.makes_room(20_000);
        let expected: Vec<u8> = (0..20_100).map(|offset| character(offset % PERIOD)).collect();
        assert_eq!(t.sent(), expected);
        assert!(expected.starts_with(b" !\"#$%"));
    }

    #[test]
    fn it_closes_when_the_peer_closes() {
        let mut t = Script::of(Chargen::new()).room(10);
        t.accepts();
        t.peer_closes();
        assert!(t.is_closed());
    }
}
