//! Character generator (RFC 864): streams a repeating printable pattern as fast as the peer takes it,
//! until the peer closes or resets.

use linerate::shard::{ConnId, Io, ListenerId, Service};

use super::CHUNK;

/// RFC 864: lines of 72 of the 95 printable characters, each line one further along.
const LINE: usize = 74;
const PERIOD: usize = 95 * LINE;

/// One worker's generator. A connection's number is its place in the pattern.
pub struct Chargen {
    /// The pattern, a chunk longer than its period: from any place a whole chunk follows.
    pattern: Box<[u8]>,
    drain: Box<[u8]>,
}

impl Chargen {
    /// With the pattern laid out.
    pub fn new() -> Self {
        let pattern = (0..PERIOD + CHUNK).map(character).collect();
        Self { pattern, drain: vec![0; CHUNK].into_boxed_slice() }
    }

    fn fill(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut place = io.user_data(conn) as usize % PERIOD;
        loop {
            // All of the room and no more would not be short, and nobody would tell of new room.
            let taken = io.write(conn, &self.pattern[place..place + CHUNK]);
            place = (place + taken) % PERIOD;
            if taken < CHUNK {
                break;
            }
        }
        io.set_user_data(conn, place as u64);
    }
}

/// The pattern's byte at a place.
fn character(place: usize) -> u8 {
    let (line, column) = (place / LINE, place % LINE);
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
    fn the_pattern_goes_on_where_the_last_write_ended() {
        let mut t = Script::of(Chargen::new()).room(100);
        t.accepts();
        assert_eq!(t.sent().len(), 100);
        t.makes_room(20_000);
        let expected: Vec<u8> = (0..20_100).map(|place| character(place % PERIOD)).collect();
        assert_eq!(t.sent(), expected);
        assert!(expected.starts_with(b" !\"#$%"));
    }

    #[test]
    fn it_ends_when_the_peer_closes() {
        let mut t = Script::of(Chargen::new()).room(10);
        t.accepts();
        t.peer_closes();
        assert!(t.is_closed());
    }
}
