//! The idle pattern: opens many connections, holds them, and closes them in batches at the end.

use linerate::shard::{CloseReason, ConnId, Io, Service};
use linerate::time::{Duration, Instant};

use super::session::{ConnectionEnd, Session};

/// Connections closed per turn. Closing all at once would send a burst that overflows queues on the
/// path.
const CLOSES_PER_TURN: usize = 256;

/// Pause between two batches of closes, so that a peer on the same core gets CPU time.
const CLOSE_PAUSE: Duration = Duration::from_millis(1);

/// A connection that is held open.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    conn: Option<ConnId>,
    closed_at: Option<Instant>,
}

/// The idle pattern on one worker. The user data of a connection is its slot in `held`.
pub(super) struct Idle {
    session: Session,
    held: Vec<Held>,
    free: Vec<usize>,
    /// During the drain: all slots before this one have been closed.
    closed_to: usize,
}

impl Idle {
    /// Creates the pattern for a session.
    pub(super) fn new(session: Session) -> Self {
        Self { session, held: Vec::new(), free: Vec::new(), closed_to: 0 }
    }

    fn fill(&mut self, io: &mut dyn Io) {
        while self.session.wants_more(io.now()) {
            let slot = self.free.pop().unwrap_or(self.held.len());
            if slot == self.held.len() {
                self.held.push(Held::default());
            }
            self.held[slot] = Held::default();
            if self.session.open(io, slot as u64).is_none() {
                self.free.push(slot);
                break;
            }
        }
    }

    fn close_some(&mut self, io: &mut dyn Io) {
        let from = self.closed_to;
        self.closed_to = (from + CLOSES_PER_TURN).min(self.held.len());
        for held in &mut self.held[from..self.closed_to] {
            if let Some(conn) = held.conn
                && held.closed_at.is_none()
            {
                held.closed_at = Some(io.now());
                io.close(conn);
            }
        }
        if self.closed_to < self.held.len() {
            io.set_alarm(io.now() + CLOSE_PAUSE);
        }
    }
}

impl Service for Idle {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.session.start(io);
        self.fill(io);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        self.session.on_opened(io.now(), true, took);
        let slot = io.user_data(conn) as usize;
        self.held[slot].conn = Some(conn);
        if self.session.is_draining() && slot < self.closed_to {
            self.held[slot].closed_at = Some(io.now());
            io.close(conn);
        }
        self.fill(io);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let mut drain = [0; 2048];
        while io.read(conn, &mut drain) > 0 {}
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        io.close(conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, reason: CloseReason) {
        let slot = user as usize;
        let held = std::mem::take(&mut self.held[slot]);
        self.free.push(slot);
        let fault = held.closed_at.is_none().then_some("closed-by-peer");
        let end = ConnectionEnd {
            reason,
            opened: held.conn.is_some(),
            counts: true,
            closed_at: held.closed_at,
            fault: fault.filter(|_| held.conn.is_some() && reason == CloseReason::Finished),
        };
        self.session.on_ended(io, &end);
        self.fill(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.session.tick(io);
        if self.session.is_draining() {
            self.close_some(io);
        }
        self.fill(io);
    }
}
