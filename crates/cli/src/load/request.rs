//! The request pattern: on each persistent connection, sends a request, waits for the same bytes
//! back, verifies them, and sends the next one.

use linerate::shard::{CloseReason, ConnId, Io, Service};
use linerate::time::{Duration, Instant};

use super::session::{ConnectionEnd, Session};
use super::tally::record;

/// Maximum bytes per read.
const CHUNK: usize = 64 * 1024;

/// A request of HTTP, and the start of its response.
const HTTP_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 10.77.0.1:7009\r\n\r\n";
const HTTP_SUCCESS: &[u8] = b"HTTP/1.1 200 ";

/// The response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Response {
    /// The bytes of the request.
    Echo,
    /// A success of HTTP with this many bytes.
    Http(usize),
}

/// A connection and its current request.
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

/// The request pattern on one worker. The user data of a connection is its slot in `exchanges`.
pub(super) struct Request {
    session: Session,
    payload: Box<[u8]>,
    response: Response,
    exchanges: Vec<Exchange>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
}

impl Request {
    /// Creates the pattern for a session.
    pub(super) fn new(session: Session) -> Self {
        let (payload, response) = match session.plan.http_response_bytes {
            Some(bytes) => (HTTP_REQUEST.into(), Response::Http(bytes)),
            // It has no short period, so shifted data fails the comparison.
            None => (
                (0..session.plan.request_bytes).map(|at| (at * 131 + at / 251) as u8).collect(),
                Response::Echo,
            ),
        };
        Self {
            session,
            payload,
            response,
            exchanges: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    fn fill(&mut self, io: &mut dyn Io) {
        while self.session.wants_more(io.now()) {
            let slot = self.free.pop().unwrap_or(self.exchanges.len());
            if slot == self.exchanges.len() {
                self.exchanges.push(Exchange::default());
            }
            self.exchanges[slot] = Exchange::default();
            if self.open(io, slot).is_none() {
                self.free.push(slot);
                break;
            }
        }
    }

    /// Opens a connection, with the first request in the SYN if Fast Open is enabled.
    fn open(&mut self, io: &mut dyn Io, slot: usize) -> Option<()> {
        if !self.session.plan.fast_open {
            return self.session.open(io, slot as u64).map(|_| ());
        }
        let (_, written) = self.session.open_with(io, slot as u64, &self.payload)?;
        let exchange = &mut self.exchanges[slot];
        (exchange.sent, exchange.begun_at) = (written, io.now());
        if self.session.is_measuring() {
            self.session.tally.bytes_sent += written as u64;
        }
        Some(())
    }

    fn begin(&mut self, io: &mut dyn Io, conn: ConnId, slot: usize) {
        let exchange = &mut self.exchanges[slot];
        (exchange.sent, exchange.received) = (0, 0);
        exchange.begun_at = io.now();
        self.send(io, conn, slot);
    }

    fn send(&mut self, io: &mut dyn Io, conn: ConnId, slot: usize) {
        let exchange = &mut self.exchanges[slot];
        if exchange.sent == self.payload.len() || exchange.closed_at.is_some() {
            return;
        }
        let written = io.write(conn, &self.payload[exchange.sent..]);
        exchange.sent += written;
        if self.session.is_measuring() {
            self.session.tally.bytes_sent += written as u64;
        }
    }

    fn close(&mut self, io: &mut dyn Io, conn: ConnId, slot: usize) {
        if self.exchanges[slot].closed_at.is_none() {
            self.exchanges[slot].closed_at = Some(io.now());
            io.close(conn);
        }
    }

    /// Processes the first `count` bytes of the buffer as part of the response.
    fn on_bytes(&mut self, io: &mut dyn Io, conn: ConnId, slot: usize, count: usize) {
        let exchange = &mut self.exchanges[slot];
        let is_whole = exchange.sent == self.payload.len();
        let (expected, most) = match self.response {
            Response::Echo => (&*self.payload, exchange.sent),
            Response::Http(bytes) => (HTTP_SUCCESS, if is_whole { bytes } else { 0 }),
        };
        let known = expected.get(exchange.received..).unwrap_or_default();
        let known = &known[..known.len().min(count)];
        if !self.buffer[..count].starts_with(known) || exchange.received + count > most {
            exchange.fault = Some("corrupt");
            return io.abort(conn);
        }
        exchange.received += count;
        let is_measuring = self.session.is_measuring();
        if is_measuring {
            self.session.tally.bytes_received += count as u64;
        }
        let response_bytes = match self.response {
            Response::Echo => self.payload.len(),
            Response::Http(bytes) => bytes,
        };
        if exchange.received < response_bytes {
            return;
        }
        exchange.answered += 1;
        if is_measuring {
            self.session.tally.requests += 1;
            record(&mut self.session.tally.request, io.now().since(exchange.begun_at));
        }
        let is_last = self.session.plan.requests_per_connection == Some(exchange.answered);
        if is_last || self.session.is_draining() {
            self.close(io, conn, slot);
        } else {
            self.begin(io, conn, slot);
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
        let slot = io.user_data(conn) as usize;
        self.exchanges[slot].opened = true;
        if self.session.is_draining() {
            self.close(io, conn, slot);
        } else if self.exchanges[slot].sent > 0 {
            self.send(io, conn, slot);
        } else {
            self.begin(io, conn, slot);
        }
        self.fill(io);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let slot = io.user_data(conn) as usize;
        self.send(io, conn, slot);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let slot = io.user_data(conn) as usize;
        loop {
            let count = io.read(conn, &mut self.buffer);
            if count == 0 {
                return;
            }
            if self.exchanges[slot].closed_at.is_none() {
                self.on_bytes(io, conn, slot, count);
            }
        }
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        let slot = io.user_data(conn) as usize;
        if self.exchanges[slot].closed_at.is_none() {
            self.exchanges[slot].fault = Some("closed-by-peer");
            self.close(io, conn, slot);
        }
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, reason: CloseReason) {
        let slot = user as usize;
        let exchange = std::mem::take(&mut self.exchanges[slot]);
        self.free.push(slot);
        let end = ConnectionEnd {
            reason,
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
