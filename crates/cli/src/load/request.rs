//! Request and response over kept connections, one request at a time on each: sends so many bytes, awaits
//! the same bytes back, and checks them.

use linerate::shard::{CloseReason, ConnId, Io, Service};
use linerate::time::{Duration, Instant};

use super::session::{End, Session};
use super::tally::record;

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// One connection and the request under way on it.
#[derive(Clone, Copy, Debug, Default)]
struct Exchange {
    opened: bool,
    sent: usize,
    received: usize,
    begun_at: Instant,
    answered: u64,
    closed_at: Option<Instant>,
    fault: Option<&'static str>,
}

/// One worker's requests; a connection's number is its place.
pub struct Request {
    session: Session,
    payload: Box<[u8]>,
    exchanges: Vec<Exchange>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
}

impl Request {
    /// Of a session.
    pub fn new(session: Session) -> Self {
        // No two neighbouring requests' bytes are alike at the same distance, so that a shift shows.
        let payload =
            (0..session.plan.request_bytes).map(|at| (at * 131 + at / 251) as u8).collect();
        Self {
            session,
            payload,
            exchanges: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    fn fill(&mut self, io: &mut dyn Io) {
        while self.session.wants_more(io.now()) {
            let place = self.free.pop().unwrap_or(self.exchanges.len());
            if place == self.exchanges.len() {
                self.exchanges.push(Exchange::default());
            }
            self.exchanges[place] = Exchange::default();
            if self.open(io, place).is_none() {
                self.free.push(place);
                break;
            }
        }
    }

    /// Opens a connection, its first request with it where that is wanted.
    fn open(&mut self, io: &mut dyn Io, place: usize) -> Option<()> {
        if !self.session.plan.fast_open {
            return self.session.open(io, place as u64).map(|_| ());
        }
        let (_, taken) = self.session.open_with(io, place as u64, &self.payload)?;
        let exchange = &mut self.exchanges[place];
        (exchange.sent, exchange.begun_at) = (taken, io.now());
        if self.session.is_measuring() {
            self.session.tally.bytes_sent += taken as u64;
        }
        Some(())
    }

    fn begin(&mut self, io: &mut dyn Io, conn: ConnId, place: usize) {
        let exchange = &mut self.exchanges[place];
        (exchange.sent, exchange.received) = (0, 0);
        exchange.begun_at = io.now();
        self.send(io, conn, place);
    }

    fn send(&mut self, io: &mut dyn Io, conn: ConnId, place: usize) {
        let exchange = &mut self.exchanges[place];
        if exchange.sent == self.payload.len() || exchange.closed_at.is_some() {
            return;
        }
        let taken = io.write(conn, &self.payload[exchange.sent..]);
        exchange.sent += taken;
        if self.session.is_measuring() {
            self.session.tally.bytes_sent += taken as u64;
        }
    }

    fn close(&mut self, io: &mut dyn Io, conn: ConnId, place: usize) {
        if self.exchanges[place].closed_at.is_none() {
            self.exchanges[place].closed_at = Some(io.now());
            io.close(conn);
        }
    }

    /// So many bytes of the answer are in the buffer.
    fn on_bytes(&mut self, io: &mut dyn Io, conn: ConnId, place: usize, count: usize) {
        let exchange = &mut self.exchanges[place];
        let expected = self.payload.get(exchange.received..exchange.received + count);
        if expected != Some(&self.buffer[..count]) || exchange.received + count > exchange.sent {
            exchange.fault = Some("corrupt");
            return io.abort(conn);
        }
        exchange.received += count;
        let is_measuring = self.session.is_measuring();
        if is_measuring {
            self.session.tally.bytes_received += count as u64;
        }
        if exchange.received < self.payload.len() {
            return;
        }
        exchange.answered += 1;
        if is_measuring {
            self.session.tally.requests += 1;
            record(&mut self.session.tally.request, io.now().since(exchange.begun_at));
        }
        let had_all = self.session.plan.requests_per_connection == Some(exchange.answered);
        if had_all || self.session.is_draining() {
            self.close(io, conn, place);
        } else {
            self.begin(io, conn, place);
        }
    }
}

impl Service for Request {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.session.start(io);
        self.fill(io);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        self.session.on_opened(io.now(), true, took);
        let place = io.user_data(conn) as usize;
        self.exchanges[place].opened = true;
        if self.session.is_draining() {
            self.close(io, conn, place);
        } else if self.exchanges[place].sent > 0 {
            self.send(io, conn, place);
        } else {
            self.begin(io, conn, place);
        }
        self.fill(io);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let place = io.user_data(conn) as usize;
        self.send(io, conn, place);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let place = io.user_data(conn) as usize;
        loop {
            let count = io.read(conn, &mut self.buffer);
            if count == 0 {
                return;
            }
            if self.exchanges[place].closed_at.is_none() {
                self.on_bytes(io, conn, place, count);
            }
        }
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        let place = io.user_data(conn) as usize;
        if self.exchanges[place].closed_at.is_none() {
            self.exchanges[place].fault = Some("closed-by-peer");
            self.close(io, conn, place);
        }
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, ending: CloseReason) {
        let place = user as usize;
        let exchange = std::mem::take(&mut self.exchanges[place]);
        self.free.push(place);
        let end = End {
            ending,
            opened: exchange.opened,
            counts: true,
            closed_at: exchange.closed_at,
            fault: exchange.fault,
        };
        self.session.on_ended(io, &end);
        self.fill(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.session.tick(io);
        self.fill(io);
    }
}
