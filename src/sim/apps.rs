//! Programs for the hosts of a world: an echo, a client that checks what comes back, and one that sends and
//! closes first. What happened is told in a [`Tally`] that outlives them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::shard::{
    CloseReason, ConnId, ConnectError, ConnectOptions, Early, Io, ListenerId, Service,
};
use crate::time::Duration;

/// What happened to the connections of a program.
#[derive(Debug, Default)]
pub struct Tally {
    /// Passive opens.
    pub accepted: usize,
    /// Active opens that were established.
    pub connected: usize,
    /// Active opens that could not begin.
    pub refused_locally: Vec<ConnectError>,
    /// Ends, by how.
    pub ended: HashMap<CloseReason, usize>,
    /// Bytes that came.
    pub received: usize,
    /// Bytes that were not what was expected.
    pub wrong: usize,
    /// From SYN to SYN-ACK.
    pub handshakes: Vec<Duration>,
    /// Connections whose peer closed first.
    pub peer_closed_first: usize,
}

impl Tally {
    /// Connections that ended in a way.
    pub fn ended(&self, how: CloseReason) -> usize {
        self.ended.get(&how).copied().unwrap_or_default()
    }

    /// Connections that ended.
    pub fn ended_in_all(&self) -> usize {
        self.ended.values().sum()
    }
}

/// A tally that a program and its observer share.
pub type SharedTally = Rc<RefCell<Tally>>;

/// Sends back what comes, holding a bounded amount; closes once the peer has and all is sent.
#[derive(Default)]
pub struct Echo {
    tally: SharedTally,
    held: HashMap<ConnId, Held>,
}

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    peer_closed: bool,
}

/// Bytes that an echo holds for one connection before it reads no more.
const HELD_MAX: usize = 16 * 1024;

impl Echo {
    /// An echo that tells `tally`.
    pub fn new(tally: SharedTally) -> Self {
        Self { tally, ..Self::default() }
    }

    fn pump(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(held) = self.held.get_mut(&conn) else { return };
        let mut buffer = [0; 4096];
        loop {
            let sent = io.write(conn, &held.bytes);
            held.bytes.drain(..sent);
            if held.bytes.len() >= HELD_MAX {
                return;
            }
            let read = io.read(conn, &mut buffer);
            self.tally.borrow_mut().received += read;
            held.bytes.extend_from_slice(&buffer[..read]);
            if read == 0 {
                break;
            }
        }
        if held.bytes.is_empty() && held.peer_closed {
            io.close(conn);
        }
    }
}

impl Service for Echo {
    fn on_accept(&mut self, _: &mut dyn Io, conn: ConnId, _: ListenerId) {
        self.tally.borrow_mut().accepted += 1;
        self.held.insert(conn, Held::default());
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.pump(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.pump(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        if let Some(held) = self.held.get_mut(&conn) {
            held.peer_closed = true;
        }
        self.pump(io, conn);
    }

    fn on_closed(&mut self, _: &mut dyn Io, conn: ConnId, _: u64, ending: CloseReason) {
        self.held.remove(&conn);
        *self.tally.borrow_mut().ended.entry(ending).or_default() += 1;
    }
}

/// Sends one line to whoever connects, and closes first.
#[derive(Default)]
pub struct Daytime(SharedTally);

impl Daytime {
    /// One that tells `tally`.
    pub fn new(tally: SharedTally) -> Self {
        Self(tally)
    }
}

impl Service for Daytime {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        self.0.borrow_mut().accepted += 1;
        io.write(conn, b"a line\n");
        io.close(conn);
    }

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        *self.0.borrow_mut().ended.entry(ending).or_default() += 1;
    }
}

/// What a client does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to, in turn.
    pub targets: Vec<SocketAddr>,
    /// From which address.
    pub local: Option<IpAddr>,
    /// Connections in all.
    pub connections: usize,
    /// Connections at once.
    pub at_once: usize,
    /// Bytes to send, and to have echoed.
    pub bytes: usize,
    /// When our direction is closed.
    pub close: Close,
    /// Whether the first bytes go with the SYN where the server takes them (RFC 7413).
    pub early: bool,
}

/// When a client closes its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// As soon as everything is written: what is echoed comes after our FIN.
    WhenWritten,
    /// When everything came back.
    WhenAnswered,
    /// When the peer has closed.
    AfterPeer,
    /// Not at all.
    Never,
}

impl Plan {
    /// So many connections, all at once, so many bytes each, closed when they came back.
    pub fn echo(target: SocketAddr, connections: usize, bytes: usize) -> Self {
        Self {
            targets: vec![target],
            local: None,
            connections,
            at_once: connections,
            bytes,
            close: Close::WhenAnswered,
            early: false,
        }
    }
}

/// Opens connections as planned and checks every byte that comes back.
pub struct Client {
    plan: Plan,
    tally: SharedTally,
    opened: usize,
    talks: HashMap<ConnId, Talk>,
}

#[derive(Default)]
struct Talk {
    number: u64,
    written: usize,
    received: usize,
    peer_closed: bool,
}

/// Byte `at` of what connection `number` sends.
const fn content(number: u64, at: usize) -> u8 {
    (number as usize).wrapping_mul(31).wrapping_add(at.wrapping_mul(7)).wrapping_add(at >> 8) as u8
}

impl Client {
    /// A client that tells `tally`.
    pub fn new(plan: Plan, tally: SharedTally) -> Self {
        Self { plan, tally, opened: 0, talks: HashMap::new() }
    }

    fn open_more(&mut self, io: &mut dyn Io) {
        while self.opened < self.plan.connections && self.talks.len() < self.plan.at_once {
            let number = self.opened as u64;
            let remote = self.plan.targets[self.opened % self.plan.targets.len()];
            self.opened += 1;
            let open = ConnectOptions { remote, local: self.plan.local, user: number };
            let piece = if self.plan.early { self.plan.bytes.min(4096) } else { 0 };
            let piece: Vec<u8> = (0..piece).map(|at| content(number, at)).collect();
            let opened = if self.plan.early {
                io.connect_with(&open, &Early { data: &piece, without_cookie: false })
            } else {
                io.connect(&open).map(|conn| (conn, 0))
            };
            match opened {
                Ok((conn, written)) => {
                    self.talks.insert(conn, Talk { number, written, ..Talk::default() });
                }
                Err(error) => self.tally.borrow_mut().refused_locally.push(error),
            }
        }
    }

    fn write(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(talk) = self.talks.get_mut(&conn) else { return };
        while talk.written < self.plan.bytes {
            let end = self.plan.bytes.min(talk.written + 4096);
            let piece: Vec<u8> = (talk.written..end).map(|at| content(talk.number, at)).collect();
            let taken = io.write(conn, &piece);
            talk.written += taken;
            if taken < piece.len() {
                return;
            }
        }
        if self.plan.close == Close::WhenWritten {
            io.close(conn);
        }
    }

    fn read(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(talk) = self.talks.get_mut(&conn) else { return };
        let mut tally = self.tally.borrow_mut();
        let mut buffer = [0; 4096];
        loop {
            let read = io.read(conn, &mut buffer);
            if read == 0 {
                break;
            }
            let right = |at: usize| content(talk.number, talk.received + at);
            let wrong = |(at, byte): &(usize, &u8)| **byte != right(*at);
            tally.wrong += buffer[..read].iter().enumerate().filter(wrong).count();
            tally.received += read;
            talk.received += read;
        }
        let answered = talk.received == self.plan.bytes;
        let due = match self.plan.close {
            Close::WhenWritten | Close::Never => false,
            Close::WhenAnswered => answered,
            Close::AfterPeer => talk.peer_closed,
        };
        if due {
            io.close(conn);
        }
    }
}

impl Service for Client {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.open_more(io);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        self.tally.borrow_mut().connected += 1;
        self.tally.borrow_mut().handshakes.push(took);
        self.write(io, conn);
        self.read(io, conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.read(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.write(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        if let Some(talk) = self.talks.get_mut(&conn) {
            talk.peer_closed = true;
            if self.plan.close == Close::AfterPeer {
                self.tally.borrow_mut().peer_closed_first += 1;
            }
        }
        self.read(io, conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, ending: CloseReason) {
        let talk = self.talks.remove(&conn);
        let known = talk.is_some_and(|talk| talk.number == user);
        let mut tally = self.tally.borrow_mut();
        tally.wrong += usize::from(!known);
        *tally.ended.entry(ending).or_default() += 1;
        drop(tally);
        self.open_more(io);
    }
}
