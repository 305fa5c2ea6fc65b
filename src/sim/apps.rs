//! Programs for the hosts of a world: an echo server, a client that verifies the echo, and a server
//! that sends one line and closes first. A [`Tally`] that outlives them counts what happened.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::shard::{
    CloseReason, ConnId, ConnectError, ConnectOptions, Early, Io, ListenerId, Service,
};
use crate::time::Duration;

/// Counts of what happened to the connections of a program.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Passive opens.
    pub accepted: usize,
    /// Active opens that were established.
    pub connected: usize,
    /// Active opens that failed locally.
    pub refused_locally: Vec<ConnectError>,
    /// Closed connections by reason.
    pub ended: HashMap<CloseReason, usize>,
    /// Bytes received.
    pub received: usize,
    /// Bytes that differ from the expected content.
    pub wrong: usize,
    /// Times from SYN to SYN-ACK.
    pub handshakes: Vec<Duration>,
    /// Connections whose peer closed first.
    pub peer_closed_first: usize,
}

impl Tally {
    /// Returns the number of connections that closed for a reason.
    pub fn ended(&self, how: CloseReason) -> usize {
        self.ended.get(&how).copied().unwrap_or_default()
    }

    /// Returns the number of all closed connections.
    pub fn ended_in_all(&self) -> usize {
        self.ended.values().sum()
    }
}

/// A tally shared by a program and its test.
pub type SharedTally = Rc<RefCell<Tally>>;

/// Sends back what it receives, with a bounded buffer. Closes once the peer has closed and all is
/// sent.
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

/// Bytes that an echo buffers per connection before it stops reading.
const HELD_MAX: usize = 16 * 1024;

impl Echo {
    /// Creates an echo server that counts in `tally`.
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

    fn on_closed(&mut self, _: &mut dyn Io, conn: ConnId, _: u64, reason: CloseReason) {
        self.held.remove(&conn);
        *self.tally.borrow_mut().ended.entry(reason).or_default() += 1;
    }
}

/// Sends one line on each connection and closes first.
#[derive(Default)]
pub struct Daytime(SharedTally);

impl Daytime {
    /// Creates a server that counts in `tally`.
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

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, _: u64, reason: CloseReason) {
        *self.0.borrow_mut().ended.entry(reason).or_default() += 1;
    }
}

/// The plan of a client.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The targets, used in turn.
    pub targets: Vec<SocketAddr>,
    /// The source address.
    pub local: Option<IpAddr>,
    /// Total number of connections.
    pub connections: usize,
    /// Concurrent connections.
    pub at_once: usize,
    /// Bytes to send on each connection, and to receive back.
    pub bytes: usize,
    /// When the client closes its direction.
    pub close: Close,
    /// Sends the first bytes with the SYN where the server accepts them (RFC 7413).
    pub early: bool,
}

/// The moment at which a client closes its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Close {
    /// As soon as everything is written: the echo arrives after the FIN.
    WhenWritten,
    /// When everything was echoed.
    WhenAnswered,
    /// When the peer has closed.
    AfterPeer,
    /// Never.
    Never,
}

impl Plan {
    /// Plans concurrent connections that send `bytes` bytes each and close when all were echoed.
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

/// Opens connections as planned and verifies every byte of the echo.
pub struct Client {
    plan: Plan,
    tally: SharedTally,
    opened: usize,
    conversations: HashMap<ConnId, Conversation>,
}

#[derive(Default)]
struct Conversation {
    number: u64,
    written: usize,
    received: usize,
    peer_closed: bool,
}

/// Returns byte `at` of the content that connection `number` sends.
const fn content(number: u64, at: usize) -> u8 {
    (number as usize).wrapping_mul(31).wrapping_add(at.wrapping_mul(7)).wrapping_add(at >> 8) as u8
}

impl Client {
    /// Creates a client that counts in `tally`.
    pub fn new(plan: Plan, tally: SharedTally) -> Self {
        Self { plan, tally, opened: 0, conversations: HashMap::new() }
    }

    fn open_more(&mut self, io: &mut dyn Io) {
        while self.opened < self.plan.connections && self.conversations.len() < self.plan.at_once {
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
                    self.conversations
                        .insert(conn, Conversation { number, written, ..Conversation::default() });
                }
                Err(error) => self.tally.borrow_mut().refused_locally.push(error),
            }
        }
    }

    fn write(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(conversation) = self.conversations.get_mut(&conn) else { return };
        while conversation.written < self.plan.bytes {
            let end = self.plan.bytes.min(conversation.written + 4096);
            let piece: Vec<u8> =
                (conversation.written..end).map(|at| content(conversation.number, at)).collect();
            let accepted = io.write(conn, &piece);
            conversation.written += accepted;
            if accepted < piece.len() {
                return;
            }
        }
        if self.plan.close == Close::WhenWritten {
            io.close(conn);
        }
    }

    fn read(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(conversation) = self.conversations.get_mut(&conn) else { return };
        let mut tally = self.tally.borrow_mut();
        let mut buffer = [0; 4096];
        loop {
            let read = io.read(conn, &mut buffer);
            if read == 0 {
                break;
            }
            let expected = |at: usize| content(conversation.number, conversation.received + at);
            let wrong = |(at, byte): &(usize, &u8)| **byte != expected(*at);
            tally.wrong += buffer[..read].iter().enumerate().filter(wrong).count();
            tally.received += read;
            conversation.received += read;
        }
        let answered = conversation.received == self.plan.bytes;
        let due = match self.plan.close {
            Close::WhenWritten | Close::Never => false,
            Close::WhenAnswered => answered,
            Close::AfterPeer => conversation.peer_closed,
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
        if let Some(conversation) = self.conversations.get_mut(&conn) {
            conversation.peer_closed = true;
            if self.plan.close == Close::AfterPeer {
                self.tally.borrow_mut().peer_closed_first += 1;
            }
        }
        self.read(io, conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, reason: CloseReason) {
        let conversation = self.conversations.remove(&conn);
        let known = conversation.is_some_and(|conversation| conversation.number == user);
        let mut tally = self.tally.borrow_mut();
        tally.wrong += usize::from(!known);
        *tally.ended.entry(reason).or_default() += 1;
        drop(tally);
        self.open_more(io);
    }
}
