//! The program on each worker of a scenario: opens its conversations when they are due and executes
//! their scripts, on either side.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::ledger::{End, Place, SharedLedger, Side};
use super::script::{ReadPace, Step, content};
use crate::shard::{CloseReason, ConnId, ConnectError, ConnectOptions, Io, ListenerId, Service};
use crate::time::{Duration, Instant};

/// Bytes that an echo buffers before it stops reading.
const HELD_MAX: usize = 8 * 1024;

/// Time until an open that found no port or no free connection is retried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Limit of such retries.
const RETRIES_MAX: u32 = 300;

/// A connection to open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) conversation: usize,
    /// The side that opens it: 0, or 1 for the other half of a simultaneous open.
    pub(crate) side: usize,
    pub(crate) remote: SocketAddr,
    pub(crate) local: IpAddr,
    pub(crate) retries: u32,
}

impl Opening {
    pub(crate) const fn new(
        conversation: usize,
        side: usize,
        local: IpAddr,
        remote: SocketAddr,
    ) -> Self {
        Self { conversation, side, remote, local, retries: 0 }
    }
}

enum Task {
    Open(Opening),
    /// Continues the script of a connection, and reads if it is paced.
    Resume(ConnId),
}

/// The state of one side's script.
#[derive(Debug, Default)]
struct Execution {
    conversation: usize,
    side: usize,
    /// Set once the connection is established. Before that the script may write and set options;
    /// closing would give up the open.
    is_open: bool,
    /// Index of the present step.
    step: usize,
    /// Bytes of this step that are written.
    step_written: u32,
    waits_until: Option<Instant>,
    /// Set once a task is scheduled for that time.
    is_armed: bool,
    read_at: Option<Instant>,
    /// Set if the last read returned data.
    has_read: bool,
    held: Vec<u8>,
}

/// The program: a service that executes scripts.
pub(super) struct ScriptRunner {
    ledger: SharedLedger,
    place: Place,
    tasks: BTreeMap<(Instant, u64), Task>,
    tasks_added: u64,
    executions: BTreeMap<(u32, u32), Execution>,
}

const fn key(conn: ConnId) -> (u32, u32) {
    (conn.index, conn.generation)
}

impl ScriptRunner {
    pub(super) fn new(
        ledger: SharedLedger,
        place: Place,
        openings: impl Iterator<Item = (Instant, Opening)>,
    ) -> Self {
        let mut runner = Self {
            ledger,
            place,
            tasks: BTreeMap::new(),
            tasks_added: 0,
            executions: BTreeMap::new(),
        };
        openings.for_each(|(at, opening)| runner.schedule(at, Task::Open(opening)));
        runner
    }

    fn schedule(&mut self, at: Instant, task: Task) {
        self.tasks_added += 1;
        self.tasks.insert((at, self.tasks_added), task);
    }

    fn set_alarm(&self, io: &mut dyn Io) {
        if let Some(((at, _), _)) = self.tasks.first_key_value() {
            io.set_alarm(*at);
        }
    }

    fn open(&mut self, io: &mut dyn Io, opening: Opening) {
        let Opening { conversation, side, remote, local, retries } = opening;
        let number = (conversation * 2 + side) as u64;
        match io.connect(&ConnectOptions { remote, local: Some(local), user: number }) {
            Ok(conn) => {
                let local = io.info(conn).expect("just opened").local;
                let mut ledger = self.ledger.borrow_mut();
                ledger.opened((conversation, side), (self.place, conn), (local, remote));
                drop(ledger);
                self.start(io, conn, Execution { conversation, side, ..Execution::default() });
            }
            Err(ConnectError::NoPort | ConnectError::TableFull) if retries < RETRIES_MAX => {
                let opening = Opening { retries: retries + 1, ..opening };
                self.schedule(io.now() + RETRY_AFTER, Task::Open(opening));
            }
            Err(_) => {
                self.ledger.borrow_mut().conversations[conversation].sides[side].end =
                    Some(End::NeverOpened);
            }
        }
    }

    fn start(&mut self, io: &mut dyn Io, conn: ConnId, execution: Execution) {
        self.executions.insert(key(conn), execution);
        self.resume(io, conn);
    }

    /// Reads as the pace allows, and executes the steps that are possible now.
    fn resume(&mut self, io: &mut dyn Io, conn: ConnId) {
        loop {
            self.read(io, conn);
            let Some(execution) = self.executions.get_mut(&key(conn)) else { return };
            let mut ledger = self.ledger.borrow_mut();
            let side = &mut ledger.conversations[execution.conversation].sides[execution.side];
            let Some(step) = side.script.steps.get(execution.step).copied() else { return };
            match execution.execute(io, conn, step, side) {
                Progress::Done => {
                    (execution.step, execution.step_written) = (execution.step + 1, 0);
                    (execution.waits_until, execution.is_armed) = (None, false);
                }
                Progress::Continues => {}
                Progress::Waits => break,
            }
        }
        self.arm_pause(io, conn);
    }

    /// Schedules the end of a pause.
    fn arm_pause(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(execution) = self.executions.get_mut(&key(conn)) else { return };
        if let Some(until) = execution.waits_until.filter(|_| !execution.is_armed) {
            execution.is_armed = true;
            self.schedule(until, Task::Resume(conn));
            self.set_alarm(io);
        }
    }

    /// Reads and verifies.
    fn read(&mut self, io: &mut dyn Io, conn: ConnId) {
        let now = io.now();
        let Some(execution) = self.executions.get_mut(&key(conn)) else { return };
        let mut ledger = self.ledger.borrow_mut();
        let [opener, other] = &mut ledger.conversations[execution.conversation].sides;
        let (side, stream) =
            if execution.side == 0 { (opener, other.stream) } else { (other, opener.stream) };
        let read_pace = side.script.read_pace;
        let wrong_at = execution.read(io, conn, side, stream, now);
        if let Some(at) = wrong_at {
            let (conversation, side) = (execution.conversation, execution.side);
            ledger.violated(|| {
                format!("conversation {conversation}: side {side} read a wrong byte at {at}")
            });
        }
        drop(ledger);
        if let (ReadPace::Paced(_, every), true) = (read_pace, execution.has_read) {
            execution.read_at = Some(now + every);
            self.schedule(now + every, Task::Resume(conn));
            self.set_alarm(io);
        }
    }
}

/// The progress of a step.
enum Progress {
    Done,
    /// The step goes on at once.
    Continues,
    Waits,
}

impl Execution {
    fn execute(&mut self, io: &mut dyn Io, conn: ConnId, step: Step, side: &mut Side) -> Progress {
        match step {
            Step::SetOption(option) => io.set_option(conn, option),
            Step::Write(all) | Step::WriteUrgent(all) => {
                let urgent = matches!(step, Step::WriteUrgent(_));
                return self.write(io, conn, all, urgent, side);
            }
            _ if !self.is_open => return Progress::Waits,
            Step::Echo => return self.echo(io, conn, side),
            Step::Read(bytes) if side.read < u64::from(bytes) => return Progress::Waits,
            Step::ReadToEnd if !side.peer_closed || io.readable(conn) > 0 => {
                return Progress::Waits;
            }
            Step::Read(_) | Step::ReadToEnd => {}
            Step::Wait(span) => {
                let now = io.now();
                if *self.waits_until.get_or_insert(now + span) > now {
                    return Progress::Waits;
                }
            }
            Step::Close => io.close(conn),
            Step::CloseBoth => io.close_both(conn),
            Step::CloseWithin(span) => io.close_by(conn, io.now() + span),
            Step::Abort => io.abort(conn),
        }
        Progress::Done
    }

    fn write(
        &mut self,
        io: &mut dyn Io,
        conn: ConnId,
        all: u32,
        urgent: bool,
        side: &mut Side,
    ) -> Progress {
        while self.step_written < all {
            let end = side.written + u64::from(all - self.step_written).min(4096);
            let bytes: Vec<u8> = (side.written..end).map(|at| content(side.stream, at)).collect();
            let accepted =
                if urgent { io.write_urgent(conn, &bytes) } else { io.write(conn, &bytes) };
            side.written += accepted as u64;
            self.step_written += accepted as u32;
            if accepted < bytes.len() {
                return Progress::Waits;
            }
        }
        Progress::Done
    }

    fn echo(&mut self, io: &mut dyn Io, conn: ConnId, side: &mut Side) -> Progress {
        let sent = io.write(conn, &self.held);
        self.held.drain(..sent);
        side.written += sent as u64;
        let is_read = io.readable(conn) == 0;
        match side.peer_closed && self.held.is_empty() && is_read {
            true => Progress::Done,
            false if sent > 0 && !is_read => Progress::Continues,
            false => Progress::Waits,
        }
    }

    /// Reads a portion of the peer's content. Returns the position of the first wrong byte.
    fn read(
        &mut self,
        io: &mut dyn Io,
        conn: ConnId,
        side: &mut Side,
        stream: u32,
        now: Instant,
    ) -> Option<u64> {
        self.has_read = false;
        let mut left = match side.script.read_pace {
            ReadPace::Eager => usize::MAX,
            ReadPace::Paced(..) if self.read_at.is_some_and(|at| at > now) => return None,
            ReadPace::Paced(bytes, _) => bytes as usize,
        };
        let echoes = side.script.steps.contains(&Step::Echo);
        if echoes {
            left = left.min(HELD_MAX.saturating_sub(self.held.len()));
        }
        let mut buffer = [0; 4096];
        while left > 0 {
            let room = left.min(buffer.len());
            let count = io.read(conn, &mut buffer[..room]);
            let read = &buffer[..count];
            let wrong = |(byte, at): &(&u8, u64)| **byte != content(stream, *at);
            if let Some((_, at)) = read.iter().zip(side.read..).find(wrong) {
                return Some(at);
            }
            if echoes {
                self.held.extend_from_slice(read);
            }
            side.read += read.len() as u64;
            self.has_read |= !read.is_empty();
            left -= read.len();
            if read.len() < room {
                break;
            }
        }
        None
    }
}

impl Service for ScriptRunner {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.set_alarm(io);
    }

    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        let info = io.info(conn).expect("just accepted");
        let accepted =
            self.ledger.borrow_mut().accepted((self.place, conn), (info.remote, info.local));
        match accepted {
            Some(conversation) => {
                io.set_user_data(conn, (conversation * 2 + 1) as u64);
                self.start(
                    io,
                    conn,
                    Execution { conversation, side: 1, is_open: true, ..Execution::default() },
                );
            }
            None => io.abort(conn),
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        if let Some(execution) = self.executions.get_mut(&key(conn)) {
            execution.is_open = true;
        }
        self.resume(io, conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.resume(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.resume(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        if let Some(execution) = self.executions.get(&key(conn)) {
            self.ledger.borrow_mut().conversations[execution.conversation].sides[execution.side]
                .peer_closed = true;
        }
        self.resume(io, conn);
    }

    fn on_closed(&mut self, _: &mut dyn Io, conn: ConnId, user: u64, reason: CloseReason) {
        let Some(execution) = self.executions.remove(&key(conn)) else { return };
        let mut ledger = self.ledger.borrow_mut();
        if user != (execution.conversation * 2 + execution.side) as u64 {
            ledger.violated(|| {
                format!("conversation {}: its number became {user}", execution.conversation)
            });
        }
        let side = &mut ledger.conversations[execution.conversation].sides[execution.side];
        if let Some(end) = side.end.replace(End::Closed(reason)) {
            ledger.violated(|| {
                format!("conversation {}: ended twice, {end:?}, {reason:?}", execution.conversation)
            });
        }
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        while let Some(entry) = self.tasks.first_entry().filter(|it| it.key().0 <= io.now()) {
            match entry.remove() {
                Task::Open(opening) => self.open(io, opening),
                Task::Resume(conn) => self.resume(io, conn),
            }
        }
        self.set_alarm(io);
    }
}
