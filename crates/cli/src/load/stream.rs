//! Bulk in one direction on each connection: to the target, or from it. What a target sends back while it
//! is sent to (echo) is received too.

use linerate::shard::{CloseReason, ConnId, Io, Service};
use linerate::time::{Duration, Instant};

use super::plan::Direction;
use super::session::{End, Session};

/// Bytes moved at a time.
const CHUNK: usize = 64 * 1024;

/// How long a target may keep silent before it counts as one that is to be sent to: longer than any
/// round trip of a benchmark, shorter than the shortest warm-up.
const SILENCE: Duration = Duration::from_millis(50);

/// One connection.
#[derive(Clone, Copy, Debug)]
struct Flow {
    conn: Option<ConnId>,
    /// `Auto` while it is undecided.
    direction: Direction,
    decide_at: Instant,
    moved: u64,
    closed_at: Option<Instant>,
    fault: Option<&'static str>,
}

/// One worker's streams; a connection's number is its place.
pub struct Stream {
    session: Session,
    payload: Box<[u8]>,
    flows: Vec<Flow>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
    is_closing: bool,
}

impl Stream {
    /// Of a session.
    pub fn new(session: Session) -> Self {
        Self {
            session,
            payload: (0..CHUNK).map(|at| b' ' + (at % 95) as u8).collect(),
            flows: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; CHUNK].into_boxed_slice(),
            is_closing: false,
        }
    }

    fn fresh(&self) -> Flow {
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
            let place = self.free.pop().unwrap_or(self.flows.len());
            let fresh = self.fresh();
            if place == self.flows.len() {
                self.flows.push(fresh);
            }
            self.flows[place] = fresh;
            if self.session.open(io, place as u64).is_none() {
                self.free.push(place);
                break;
            }
        }
    }

    /// Sends until there is no room, or the connection has had its bytes.
    fn send(&mut self, io: &mut dyn Io, conn: ConnId, place: usize) {
        let most = self.session.plan.bytes_per_connection.unwrap_or(u64::MAX);
        let flow = &mut self.flows[place];
        while flow.direction == Direction::Send && flow.closed_at.is_none() {
            let length = (most - flow.moved).min(CHUNK as u64) as usize;
            let taken = io.write(conn, &self.payload[..length]);
            flow.moved += taken as u64;
            if self.session.is_measuring() {
                self.session.tally.bytes_sent += taken as u64;
            }
            if flow.moved == most {
                flow.closed_at = Some(io.now());
                io.close(conn);
            } else if taken < length {
                return;
            }
        }
    }

    fn close(&mut self, io: &mut dyn Io, place: usize) {
        let flow = &mut self.flows[place];
        if let Some(conn) = flow.conn
            && flow.closed_at.is_none()
        {
            flow.closed_at = Some(io.now());
            io.close(conn);
        }
    }

    /// Sends to the targets that have kept silent.
    fn decide(&mut self, io: &mut dyn Io) {
        let now = io.now();
        for place in 0..self.flows.len() {
            let flow = &mut self.flows[place];
            if flow.direction != Direction::Auto || flow.decide_at > now {
                continue;
            }
            if let Some(conn) = flow.conn {
                flow.direction = Direction::Send;
                self.send(io, conn, place);
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
        let place = io.user_data(conn) as usize;
        self.flows[place].conn = Some(conn);
        self.flows[place].decide_at = io.now() + SILENCE;
        if self.session.is_draining() {
            self.close(io, place);
        }
        self.send(io, conn, place);
        self.fill(io);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let place = io.user_data(conn) as usize;
        self.send(io, conn, place);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let place = io.user_data(conn) as usize;
        loop {
            let count = io.read(conn, &mut self.buffer) as u64;
            if count == 0 {
                break;
            }
            if self.session.is_measuring() {
                self.session.tally.bytes_received += count;
            }
            let flow = &mut self.flows[place];
            if flow.direction == Direction::Auto {
                flow.direction = Direction::Receive;
            }
            if flow.direction == Direction::Receive {
                flow.moved += count;
            }
        }
        let most = self.session.plan.bytes_per_connection.unwrap_or(u64::MAX);
        if self.flows[place].direction == Direction::Receive && self.flows[place].moved >= most {
            self.close(io, place);
        }
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        let place = io.user_data(conn) as usize;
        if self.flows[place].closed_at.is_none() {
            self.flows[place].fault = Some("closed-by-peer");
            self.close(io, place);
        }
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, user: u64, ending: CloseReason) {
        let place = user as usize;
        let fresh = self.fresh();
        let flow = std::mem::replace(&mut self.flows[place], fresh);
        self.free.push(place);
        let end = End {
            ending,
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
            (0..self.flows.len()).for_each(|place| self.close(io, place));
        }
        self.decide(io);
        self.fill(io);
    }
}
