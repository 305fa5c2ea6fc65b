//! Open and hold many connections that do nothing; close them in slices at the end.

use linerate::shard::{CloseReason, ConnId, Io, Service};
use linerate::time::{Duration, Instant};

use super::session::{End, Session};

/// Connections closed in one turn: all at once would be a burst that no queue on the way holds.
const CLOSES_A_TURN: usize = 256;

/// The pause between two slices of closes: the peer has its share of a shared core.
const CLOSE_PAUSE: Duration = Duration::from_millis(1);

/// A held connection.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    conn: Option<ConnId>,
    closed_at: Option<Instant>,
}

/// One worker's held connections; a connection's number is its place.
pub struct Idle {
    session: Session,
    held: Vec<Held>,
    free: Vec<usize>,
    /// All places before this one are closed, once the drain has begun.
    closed_to: usize,
}

impl Idle {
    /// Of a session.
    pub fn new(session: Session) -> Self {
        Self { session, held: Vec::new(), free: Vec::new(), closed_to: 0 }
    }

    fn fill(&mut self, io: &mut dyn Io) {
        while self.session.wants_more(io.now()) {
            let place = self.free.pop().unwrap_or(self.held.len());
            if place == self.held.len() {
                self.held.push(Held::default());
            }
            self.held[place] = Held::default();
            if self.session.open(io, place as u64).is_none() {
                self.free.push(place);
                break;
            }
        }
    }

    fn close_some(&mut self, io: &mut dyn Io) {
        let from = self.closed_to;
        self.closed_to = (from + CLOSES_A_TURN).min(self.held.len());
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
        let place = io.user_data(conn) as usize;
        self.held[place].conn = Some(conn);
        if self.session.is_draining() && place < self.closed_to {
            self.held[place].closed_at = Some(io.now());
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

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, ending: CloseReason) {
        let place = user as usize;
        let held = std::mem::take(&mut self.held[place]);
        self.free.push(place);
        let fault = held.closed_at.is_none().then_some("closed-by-peer");
        let end = End {
            ending,
            opened: held.conn.is_some(),
            counts: true,
            closed_at: held.closed_at,
            fault: fault.filter(|_| held.conn.is_some() && ending == CloseReason::Finished),
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
