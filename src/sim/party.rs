//! The program on each worker of a scenario: opens its conversations when they are due and follows their
//! scripts, at either end.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::ledger::{End, Place, SharedLedger, Side};
use super::script::{Appetite, Step, content};
use crate::shard::{CloseReason, ConnId, ConnectError, ConnectOptions, Io, ListenerId, Service};
use crate::time::{Duration, Instant};

/// What an echo holds before it reads no more.
const HELD_MAX: usize = 8 * 1024;

/// How long until an open that found no port or no place is tried again.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often.
const TRIES: u32 = 300;

/// An open that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) talk: usize,
    /// Whose connection it is: 0, but 1 in a simultaneous open.
    pub(super) side: usize,
    pub(super) remote: SocketAddr,
    pub(super) local: IpAddr,
    pub(super) tries: u32,
}

impl Opening {
    pub(super) const fn new(talk: usize, side: usize, local: IpAddr, remote: SocketAddr) -> Self {
        Self { talk, side, remote, local, tries: 0 }
    }
}

enum Task {
    Open(Opening),
    /// Goes on with a connection, reading a helping if it is paced.
    GoOn(ConnId),
}

/// One end of a conversation, as its program sees it.
#[derive(Debug, Default)]
struct Part {
    talk: usize,
    side: usize,
    /// It is established: until then it can write and choose, and to close it would be to give up.
    is_open: bool,
    /// The step that is under way.
    step: usize,
    /// Bytes of it that are written.
    of_step: u32,
    waits_until: Option<Instant>,
    /// The agenda knows of that.
    is_armed: bool,
    hungry_at: Option<Instant>,
    /// Whether the last helping had something in it.
    ate: bool,
    held: Vec<u8>,
}

/// The program.
pub(super) struct Party {
    ledger: SharedLedger,
    place: Place,
    agenda: BTreeMap<(Instant, u64), Task>,
    entered: u64,
    parts: BTreeMap<(u32, u32), Part>,
}

const fn key(conn: ConnId) -> (u32, u32) {
    (conn.index, conn.generation)
}

impl Party {
    pub(super) fn new(
        ledger: SharedLedger,
        place: Place,
        openings: impl Iterator<Item = (Instant, Opening)>,
    ) -> Self {
        let mut party =
            Self { ledger, place, agenda: BTreeMap::new(), entered: 0, parts: BTreeMap::new() };
        openings.for_each(|(at, opening)| party.enter(at, Task::Open(opening)));
        party
    }

    fn enter(&mut self, at: Instant, task: Task) {
        self.entered += 1;
        self.agenda.insert((at, self.entered), task);
    }

    fn set_alarm(&self, io: &mut dyn Io) {
        if let Some(((at, _), _)) = self.agenda.first_key_value() {
            io.set_alarm(*at);
        }
    }

    fn open(&mut self, io: &mut dyn Io, opening: Opening) {
        let Opening { talk, side, remote, local, tries } = opening;
        let number = (talk * 2 + side) as u64;
        match io.connect(&ConnectOptions { remote, local: Some(local), user: number }) {
            Ok(conn) => {
                let local = io.info(conn).expect("just opened").local;
                let mut ledger = self.ledger.borrow_mut();
                ledger.opened((talk, side), (self.place, conn), (local, remote));
                drop(ledger);
                self.begin(io, conn, Part { talk, side, ..Part::default() });
            }
            Err(ConnectError::NoPort | ConnectError::TableFull) if tries < TRIES => {
                let opening = Opening { tries: tries + 1, ..opening };
                self.enter(io.now() + PATIENCE, Task::Open(opening));
            }
            Err(_) => {
                self.ledger.borrow_mut().talks[talk].sides[side].end = Some(End::NeverBegun);
            }
        }
    }

    fn begin(&mut self, io: &mut dyn Io, conn: ConnId, part: Part) {
        self.parts.insert(key(conn), part);
        self.go_on(io, conn);
    }

    /// Reads what the appetite allows, and does the steps that can be done now.
    fn go_on(&mut self, io: &mut dyn Io, conn: ConnId) {
        loop {
            self.read(io, conn);
            let Some(part) = self.parts.get_mut(&key(conn)) else { return };
            let mut ledger = self.ledger.borrow_mut();
            let side = &mut ledger.talks[part.talk].sides[part.side];
            let Some(step) = side.script.steps.get(part.step).copied() else { return };
            match part.does(io, conn, step, side) {
                Progress::Done => {
                    (part.step, part.of_step) = (part.step + 1, 0);
                    (part.waits_until, part.is_armed) = (None, false);
                }
                Progress::Moved => {}
                Progress::Waits => break,
            }
        }
        self.set_waiting(io, conn);
    }

    /// Has the pause that began come to its end.
    fn set_waiting(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(part) = self.parts.get_mut(&key(conn)) else { return };
        if let Some(until) = part.waits_until.filter(|_| !part.is_armed) {
            part.is_armed = true;
            self.enter(until, Task::GoOn(conn));
            self.set_alarm(io);
        }
    }

    /// Reads and checks.
    fn read(&mut self, io: &mut dyn Io, conn: ConnId) {
        let now = io.now();
        let Some(part) = self.parts.get_mut(&key(conn)) else { return };
        let mut ledger = self.ledger.borrow_mut();
        let [opener, other] = &mut ledger.talks[part.talk].sides;
        let (side, speaks) =
            if part.side == 0 { (opener, other.speaks) } else { (other, opener.speaks) };
        let appetite = side.script.appetite;
        let wrong_at = part.reads(io, conn, side, speaks, now);
        if let Some(at) = wrong_at {
            let (talk, side) = (part.talk, part.side);
            ledger.violated(|| format!("talk {talk}: side {side} read a wrong byte at {at}"));
        }
        drop(ledger);
        if let (Appetite::Paced(_, every), true) = (appetite, part.ate) {
            part.hungry_at = Some(now + every);
            self.enter(now + every, Task::GoOn(conn));
            self.set_alarm(io);
        }
    }
}

/// What became of a step.
enum Progress {
    Done,
    /// There is more to do of it at once.
    Moved,
    Waits,
}

impl Part {
    fn does(&mut self, io: &mut dyn Io, conn: ConnId, step: Step, side: &mut Side) -> Progress {
        match step {
            Step::Choose(choice) => io.set_option(conn, choice),
            Step::Write(all) | Step::WriteUrgent(all) => {
                let urgent = matches!(step, Step::WriteUrgent(_));
                return self.writes(io, conn, all, urgent, side);
            }
            _ if !self.is_open => return Progress::Waits,
            Step::Echo => return self.echoes(io, conn, side),
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

    fn writes(
        &mut self,
        io: &mut dyn Io,
        conn: ConnId,
        all: u32,
        urgent: bool,
        side: &mut Side,
    ) -> Progress {
        while self.of_step < all {
            let end = side.written + u64::from(all - self.of_step).min(4096);
            let bytes: Vec<u8> = (side.written..end).map(|at| content(side.speaks, at)).collect();
            let taken = if urgent { io.write_urgent(conn, &bytes) } else { io.write(conn, &bytes) };
            side.written += taken as u64;
            self.of_step += taken as u32;
            if taken < bytes.len() {
                return Progress::Waits;
            }
        }
        Progress::Done
    }

    fn echoes(&mut self, io: &mut dyn Io, conn: ConnId, side: &mut Side) -> Progress {
        let taken = io.write(conn, &self.held);
        self.held.drain(..taken);
        side.written += taken as u64;
        let is_read = io.readable(conn) == 0;
        match side.peer_closed && self.held.is_empty() && is_read {
            true => Progress::Done,
            false if taken > 0 && !is_read => Progress::Moved,
            false => Progress::Waits,
        }
    }

    /// Reads a helping of what the peer says; gives the first byte that is wrong.
    fn reads(
        &mut self,
        io: &mut dyn Io,
        conn: ConnId,
        side: &mut Side,
        speaks: u32,
        now: Instant,
    ) -> Option<u64> {
        self.ate = false;
        let mut most = match side.script.appetite {
            Appetite::Eager => usize::MAX,
            Appetite::Paced(..) if self.hungry_at.is_some_and(|at| at > now) => return None,
            Appetite::Paced(bytes, _) => bytes as usize,
        };
        let echoes = side.script.steps.contains(&Step::Echo);
        if echoes {
            most = most.min(HELD_MAX.saturating_sub(self.held.len()));
        }
        let mut buffer = [0; 4096];
        while most > 0 {
            let room = most.min(buffer.len());
            let many = io.read(conn, &mut buffer[..room]);
            let read = &buffer[..many];
            let wrong = |(byte, at): &(&u8, u64)| **byte != content(speaks, *at);
            if let Some((_, at)) = read.iter().zip(side.read..).find(wrong) {
                return Some(at);
            }
            if echoes {
                self.held.extend_from_slice(read);
            }
            side.read += read.len() as u64;
            self.ate |= !read.is_empty();
            most -= read.len();
            if read.len() < room {
                break;
            }
        }
        None
    }
}

impl Service for Party {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.set_alarm(io);
    }

    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        let info = io.info(conn).expect("just accepted");
        let accepted =
            self.ledger.borrow_mut().accepted((self.place, conn), (info.remote, info.local));
        match accepted {
            Some(talk) => {
                io.set_user_data(conn, (talk * 2 + 1) as u64);
                self.begin(io, conn, Part { talk, side: 1, is_open: true, ..Part::default() });
            }
            None => io.abort(conn),
        }
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        if let Some(part) = self.parts.get_mut(&key(conn)) {
            part.is_open = true;
        }
        self.go_on(io, conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.go_on(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.go_on(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        if let Some(part) = self.parts.get(&key(conn)) {
            self.ledger.borrow_mut().talks[part.talk].sides[part.side].peer_closed = true;
        }
        self.go_on(io, conn);
    }

    fn on_closed(&mut self, _: &mut dyn Io, conn: ConnId, user: u64, ending: CloseReason) {
        let Some(part) = self.parts.remove(&key(conn)) else { return };
        let mut ledger = self.ledger.borrow_mut();
        if user != (part.talk * 2 + part.side) as u64 {
            ledger.violated(|| format!("talk {}: its number became {user}", part.talk));
        }
        let side = &mut ledger.talks[part.talk].sides[part.side];
        if let Some(end) = side.end.replace(End::Told(ending)) {
            ledger.violated(|| format!("talk {}: ended twice, {end:?}, {ending:?}", part.talk));
        }
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        while let Some(entry) = self.agenda.first_entry().filter(|it| it.key().0 <= io.now()) {
            match entry.remove() {
                Task::Open(opening) => self.open(io, opening),
                Task::GoOn(conn) => self.go_on(io, conn),
            }
        }
        self.set_alarm(io);
    }
}
