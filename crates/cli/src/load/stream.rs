//! The stream pattern: bulk transfer in one direction on each connection, to the target or from it.
//! While sending, it also receives what the target sends back (echo).

use linerate::shard::{CloseReason, ConnId, Io, Service};
use linerate::time::{Duration, Instant};

use super::plan::Direction;
use super::session::{ConnectionEnd, Session};

/// Maximum bytes per read or write.
const CHUNK: usize = 64 * 1024;

/// With direction `auto`, time without received data after which a connection sends: longer than
/// any round trip in a benchmark, shorter than the shortest warm-up.
const AUTO_TIMEOUT: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Clone, Copy, Debug)]
struct Flow {
    conn: Option<ConnId>,
    /// `Auto` until resolved.
    direction: Direction,
    decide_at: Instant,
    moved: u64,
    closed_at: Option<Instant>,
    fault: Option<&'static str>,
}

/// The stream pattern on one worker. The user data of a connection is its slot in `flows`.
pub(super) struct Stream {
    session: Session,
    payload: Box<[u8]>,
    flows: Vec<Flow>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
    is_closing: bool,
}

impl Stream {
    /// Creates the pattern for a session.
    pub(super) fn new(session: Session) -> Self {
        Self {
            session,
            payload: (0..CHUNK).map(|at| b' ' + (at % 95) as u8).collect(),
            flows: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; CHUNK].into_boxed_slice(),
            is_closing: false,
        }
    }

    fn new_flow(&self) -> Flow {
        Flow {
            conn: None,
            direction: self.session.plan.direction,
            decide_at: Instant::FAR,
            moved: 0,
            closed_at: None,
            fault: None,
        }
    }

    fn fill(&mut self, io: &mut dyn Io) {
        while self.session.wants_more(io.now()) {
            let slot = self.free.pop().unwrap_or(self.flows.len());
            let fresh = self.new_flow();
            if slot == self.flows.len() {
                self.flows.push(fresh);
            }
            self.flows[slot] = fresh;
            if self.session.open(io, slot as u64).is_none() {
                self.free.push(slot);
                break;
            }
        }
    }

    /// Sends until the send buffer is full or the connection has sent all its bytes.
    fn send(&mut self, io: &mut dyn Io, conn: ConnId, slot: usize) {
        let most = self.session.plan.bytes_per_connection.unwrap_or(u64::MAX);
        let flow = &mut self.flows[slot];
        while flow.direction == Direction::Send && flow.closed_at.is_none() {
            let length = (most - flow.moved).min(CHUNK as u64) as usize;
            let written = io.write(conn, &self.payload[..length]);
            flow.moved += written as u64;
            if self.session.is_measuring() {
                self.session.tally.bytes_sent += written as u64;
            }
            if flow.moved == most {
                flow.closed_at = Some(io.now());
                io.close(conn);
            } else if written < length {
                return;
            }
        }
    }

    fn close(&mut self, io: &mut dyn Io, slot: usize) {
        let flow = &mut self.flows[slot];
        if let Some(conn) = flow.conn
            && flow.closed_at.is_none()
        {
            flow.closed_at = Some(io.now());
            io.close(conn);
        }
    }

    /// Starts to send on connections with direction `auto` whose target sent nothing in time.
    fn resolve_auto(&mut self, io: &mut dyn Io) {
        let now = io.now();
        for slot in 0..self.flows.len() {
            let flow = &mut self.flows[slot];
            if flow.direction != Direction::Auto || flow.decide_at > now {
                continue;
            }
            if let Some(conn) = flow.conn {
                flow.direction = Direction::Send;
                self.send(io, conn, slot);
            }
        }
    }
}

impl Service for Stream {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.session.start(io);
        self.fill(io);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        self.session.on_opened(io.now(), true, took);
        let slot = io.user_data(conn) as usize;
        self.flows[slot].conn = Some(conn);
        self.flows[slot].decide_at = io.now() + AUTO_TIMEOUT;
        if self.session.is_draining() {
            self.close(io, slot);
        }
        self.send(io, conn, slot);
        self.fill(io);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let slot = io.user_data(conn) as usize;
        self.send(io, conn, slot);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let slot = io.user_data(conn) as usize;
        loop {
            let count = io.read(conn, &mut self.buffer) as u64;
            if count == 0 {
                break;
            }
            if self.session.is_measuring() {
                self.session.tally.bytes_received += count;
            }
            let flow = &mut self.flows[slot];
            if flow.direction == Direction::Auto {
                flow.direction = Direction::Receive;
            }
            if flow.direction == Direction::Receive {
                flow.moved += count;
            }
        }
        let most = self.session.plan.bytes_per_connection.unwrap_or(u64::MAX);
        if self.flows[slot].direction == Direction::Receive && self.flows[slot].moved >= most {
            self.close(io, slot);
        }
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        let slot = io.user_data(conn) as usize;
        if self.flows[slot].closed_at.is_none() {
            self.flows[slot].fault = Some("closed-by-peer");
            self.close(io, slot);
        }
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, reason: CloseReason) {
        let slot = user as usize;
        let fresh = self.new_flow();
        let flow = std::mem::replace(&mut self.flows[slot], fresh);
        self.free.push(slot);
        let end = ConnectionEnd {
            reason,
            opened: flow.conn.is_some(),
            counts: true,
            closed_at: flow.closed_at,
            fault: flow.fault,
        };
        self.session.on_ended(io, &end);
        self.fill(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.session.tick(io);
        if self.session.is_draining() && !self.is_closing {
            self.is_closing = true;
            (0..self.flows.len()).for_each(|slot| self.close(io, slot));
        }
        self.resolve_auto(io);
        self.fill(io);
    }
}
