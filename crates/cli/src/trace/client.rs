//! The client of a live trace: one connection to an echo server, paced so that each section of the
//! ladder is visible.
//!
//! It connects, pauses, sends a quarter of its bytes and reads the echo. It pauses again, sends the
//! rest and closes its direction at once, so the rest of the echo arrives on a half-closed
//! connection.

use std::sync::{Arc, Mutex};

use linerate::shard::{CloseReason, ConnId, ConnectOptions, Io, Service};
use linerate::time::{Duration, Instant};

/// Pause before each step: longer than the delayed ACK of either stack, so that pure ACKs show up.
const PAUSE: Duration = Duration::from_millis(60);

/// Time limit for the connection.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Close reason and number of bytes echoed.
pub(super) type Outcome = Arc<Mutex<Option<(CloseReason, usize)>>>;

/// Bytes to send after the next pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    First,
    Rest,
    Nothing,
}

/// A service that opens one connection.
pub(super) struct Client {
    open: ConnectOptions,
    payload: Vec<u8>,
    next: Next,
    next_at: Instant,
    ends_at: Instant,
    conn: Option<ConnId>,
    sent: usize,
    received: usize,
    outcome: Outcome,
}

impl Client {
    /// Creates a client that sends `bytes` bytes to an echo server.
    pub(super) fn new(open: ConnectOptions, bytes: usize, outcome: Outcome) -> Self {
        Self {
            open,
            payload: (0..bytes).map(|at| b' ' + (at % 95) as u8).collect(),
            next: Next::Nothing,
            next_at: Instant::FAR,
            ends_at: Instant::FAR,
            conn: None,
            sent: 0,
            received: 0,
            outcome,
        }
    }

    fn schedule(&mut self, io: &mut dyn Io, next: Next) {
        self.next = next;
        self.next_at = io.now() + PAUSE;
        io.set_alarm(self.next_at);
    }

    /// Returns the length of the first part. It is the shorter one, so that the rest takes several
    /// segments.
    fn first_part(&self) -> usize {
        self.payload.len().div_ceil(4)
    }

    /// Sends up to the end of the current part. Closes after the last byte.
    fn send(&mut self, io: &mut dyn Io, conn: ConnId) {
        let end = match self.next {
            Next::First => self.first_part(),
            Next::Rest => self.payload.len(),
            Next::Nothing => return,
        };
        self.sent += io.write(conn, &self.payload[self.sent..end]);
        if self.sent == self.payload.len() {
            self.next = Next::Nothing;
            io.close(conn);
        }
    }

    fn end(&self, io: &mut dyn Io, reason: CloseReason) {
        if let Ok(mut outcome) = self.outcome.lock() {
            *outcome = Some((reason, self.received));
        }
        io.stop();
    }
}

impl Service for Client {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.ends_at = io.now() + TIMEOUT;
        if io.connect(&self.open).is_err() {
            return self.end(io, CloseReason::Unreachable);
        }
        io.set_alarm(self.ends_at);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        self.conn = Some(conn);
        self.schedule(io, Next::First);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut buffer = [0; 4096];
        loop {
            let count = io.read(conn, &mut buffer);
            self.received += count;
            if count == 0 {
                break;
            }
        }
        if self.next == Next::First && self.received == self.first_part() {
            self.schedule(io, Next::Rest);
        }
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.send(io, conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, _: u64, reason: CloseReason) {
        self.end(io, reason);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        if io.now() >= self.ends_at {
            return self.end(io, CloseReason::TimedOut);
        }
        if let Some(conn) = self.conn
            && io.now() >= self.next_at
        {
            self.next_at = Instant::FAR;
            self.send(io, conn);
        }
        io.set_alarm(self.next_at.min(self.ends_at));
    }
}
