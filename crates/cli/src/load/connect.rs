//! The connect pattern: opens and closes connections in a loop, with a fixed number in flight.
//!
//! The user data of a connection holds its whole state: whether it is measured, whether it was
//! established, and whether and when we closed it.

use linerate::shard::{CloseReason, ConnId, Io, Service};
use linerate::time::{Duration, Instant};

use super::plan::Closing;
use super::session::{ConnectionEnd, Session};

const COUNTS: u64 = 1;
const OPENED: u64 = 2;
const CLOSED: u64 = 4;
/// The bits above the flags hold the time of our close in nanoseconds, or 0 if the peer closed
/// first: then our close is only a response, and its teardown is not measured.
const CLOSED_AT_SHIFT: u32 = 3;

/// The connect pattern on one worker.
pub(super) struct Connect {
    session: Session,
    /// Established connections to close in a later turn, each with the time of its turn.
    to_close: Vec<(Instant, ConnId)>,
    drain: [u8; 2048],
}

impl Connect {
    /// Creates the pattern for a session.
    pub(super) fn new(session: Session) -> Self {
        let to_close = Vec::with_capacity(session.plan.concurrency.min(1 << 20) as usize);
        Self { session, to_close, drain: [0; 2048] }
    }

    fn fill(&mut self, io: &mut dyn Io) {
        while self.session.wants_more(io.now()) {
            let user = if self.session.counts_connections() { COUNTS } else { 0 };
            if self.session.open(io, user).is_none() {
                break;
            }
        }
    }

    /// Sets an alarm for the next turn: after this turn's time, before that of any later turn.
    fn wake_next_turn(io: &mut dyn Io) {
        io.set_alarm(io.now() + Duration::from_nanos(1));
    }

    fn close_first(io: &mut dyn Io, conn: ConnId) {
        let user = io.user_data(conn);
        if user & CLOSED == 0 {
            io.set_user_data(conn, user | CLOSED | io.now().as_nanos() << CLOSED_AT_SHIFT);
            io.close(conn);
        }
    }
}

impl Service for Connect {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.session.start(io);
        self.fill(io);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        let user = io.user_data(conn);
        self.session.on_opened(io.now(), user & COUNTS != 0, took);
        io.set_user_data(conn, user | OPENED);
        match self.session.plan.closing {
            Closing::SameTurn => Self::close_first(io, conn),
            Closing::NextTurn => {
                self.to_close.push((io.now(), conn));
                Self::wake_next_turn(io);
            }
        }
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        while io.read(conn, &mut self.drain) > 0 {}
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        let user = io.user_data(conn);
        if user & CLOSED == 0 {
            io.set_user_data(conn, user | CLOSED);
            io.close(conn);
        }
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, reason: CloseReason) {
        let closed_at = Some(user >> CLOSED_AT_SHIFT).filter(|nanos| *nanos != 0);
        let end = ConnectionEnd {
            reason,
            opened: user & OPENED != 0,
            counts: user & COUNTS != 0,
            closed_at: closed_at.map(Instant::from_nanos),
            fault: None,
        };
        self.session.on_ended(io, &end);
        self.fill(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        // An alarm set in the previous turn can fire after connections were established in this
        // turn. Skip those: the last ACK of their handshake must leave in a segment of its own
        // first.
        let now = io.now();
        let due = self.to_close.partition_point(|(established, _)| *established < now);
        for (_, conn) in self.to_close.drain(..due) {
            // A handle is stale if its connection failed meanwhile; then this does nothing.
            Self::close_first(io, conn);
        }
        if !self.to_close.is_empty() {
            Self::wake_next_turn(io);
        }
        self.session.tick(io);
        self.fill(io);
    }
}
