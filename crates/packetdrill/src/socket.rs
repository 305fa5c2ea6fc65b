//! A socket as its program sees it, and all of them by descriptor.
//!
//! Owns what outlives the connection: options, errors not yet read, which directions the program has shut.
//! A connection that nobody has accepted yet, or that lingers after its descriptor is closed, is a socket
//! with a number and no descriptor.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::calls::Epoll;
use super::errno::Errno;
use super::info::Spent;
use super::program::Event;
use linerate::shard::{ConnId, ListenerId, SynData};
use linerate::time::{Duration, Instant};

/// Where a socket stands.
#[derive(Debug)]
pub(super) enum State {
    /// Neither listening nor connected.
    Fresh,
    /// A passive open; the numbers of the sockets that were not accepted yet.
    Listening { listener: ListenerId, queue: VecDeque<u64> },
    /// An active open that begins with the first write (`TCP_FASTOPEN_CONNECT`).
    Deferred(SocketAddr),
    /// An active open that was not answered yet.
    Connecting(ConnId),
    /// Established, and until both directions are closed and read.
    Connected(ConnId),
    /// The connection is over.
    Over,
}

/// What `SO_LINGER` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linger {
    pub(super) on: bool,
    pub(super) seconds: u16,
}

/// What a program chose about a socket; inherited by what a listener accepts.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Those that are only kept to be told again, by level and name.
    pub(super) kept: BTreeMap<(i32, i32), i32>,
    pub(super) no_delay: bool,
    pub(super) cork: bool,
    /// `TCP_CORK` was ever set.
    pub(super) corked: bool,
    /// `TCP_CONGESTION`.
    pub(super) congestion: Option<String>,
    pub(super) linger: Linger,
    /// The last write said that more will follow (`MSG_MORE`).
    pub(super) more: bool,
    pub(super) receive_timeout: Option<Duration>,
    pub(super) send_timeout: Option<Duration>,
    /// `SO_SNDBUF` as it was set, when it was.
    pub(super) send_buffer: Option<u32>,
    /// `TCP_INQ`.
    pub(super) tells_inq: bool,
    /// `SO_RCVLOWAT`.
    pub(super) receive_low_water: usize,
    /// Fast Open.
    pub(super) fast_open: FastOpenOptions,
}

/// What a program chose about Fast Open.
#[derive(Clone, Debug, Default)]
pub(super) struct FastOpenOptions {
    /// `TCP_FASTOPEN`.
    pub(super) queue: Option<u32>,
    /// `TCP_FASTOPEN_CONNECT`.
    pub(super) connects: bool,
    /// `TCP_FASTOPEN_NO_COOKIE`.
    pub(super) no_cookie: bool,
    /// `TCP_FASTOPEN_KEY`: one key, or two.
    pub(super) keys: Option<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            no_delay: false,
            cork: false,
            corked: false,
            congestion: None,
            linger: Linger { on: false, seconds: 0 },
            more: false,
            receive_timeout: None,
            send_timeout: None,
            send_buffer: None,
            tells_inq: false,
            receive_low_water: 1,
            fast_open: FastOpenOptions::default(),
        }
    }
}

/// Half of the least receive buffer, the other half being the kernel's own overhead.
const WINDOW_MIN: u32 = 1152;

impl Options {
    fn positive(&self, key: (i32, i32)) -> Option<u32> {
        self.kept.get(&key).and_then(|value| u32::try_from(*value).ok())
    }

    /// What `SO_RCVBUF` and `TCP_WINDOW_CLAMP` leave of the window.
    pub(super) fn window_max(&self) -> Option<u32> {
        let buffer = self.positive((libc::SOL_SOCKET, libc::SO_RCVBUF));
        let forced = self.positive((libc::SOL_SOCKET, libc::SO_RCVBUFFORCE));
        let clamp =
            self.positive((libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP)).filter(|clamp| *clamp > 0);
        let most = [buffer, forced, clamp].into_iter().flatten().min()?;
        Some(most.max(WINDOW_MIN))
    }

    /// `TCP_DEFER_ACCEPT`: nobody is accepted before there is something to read.
    pub(super) fn defers_accept(&self) -> bool {
        self.positive((libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT)).is_some_and(|on| on > 0)
    }

    /// `TCP_NOTSENT_LOWAT`: with so many bytes unsent no more are taken.
    pub(super) fn unsent_max(&self) -> u32 {
        let lowat = self.positive((libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT));
        lowat.filter(|lowat| *lowat > 0).unwrap_or(u32::MAX)
    }
}

/// How often something happened that wakes who waits for it: an edge is a change of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edges {
    pub(super) readable: u32,
    pub(super) writable: u32,
}

/// One socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) number: u64,
    pub(super) ipv6: bool,
    pub(super) non_blocking: bool,
    pub(super) options: Options,
    pub(super) bound: Option<SocketAddr>,
    pub(super) remote: Option<SocketAddr>,
    pub(super) state: State,
    /// The peer has closed its direction.
    pub(super) peer_closed: bool,
    /// The program has shut reading.
    pub(super) read_shut: bool,
    /// The program has shut writing.
    pub(super) write_shut: bool,
    /// The descriptor is closed.
    pub(super) orphan: bool,
    /// An active open whose success the program has not seen.
    pub(super) success_untold: bool,
    /// An error that the program has not seen.
    pub(super) error: Option<Errno>,
    /// What was read ahead by a look.
    pub(super) peeked: Vec<u8>,
    pub(super) edges: Edges,
    /// When data arrived last.
    pub(super) heard_at: Instant,
    /// A write waits for room.
    pub(super) writer_waits: bool,
    /// How long what it wrote has waited, and for what.
    pub(super) spent: Spent,
    /// Bytes of data that went in the SYN.
    pub(super) early: u32,
    /// What became of it, once that is known.
    pub(super) syn_data: SynData,
    /// The error of a connection that is over and not read out was told.
    pub(super) end_told: bool,
}

impl Socket {
    pub(super) fn new(number: u64, ipv6: bool, now: Instant) -> Self {
        Self {
            number,
            ipv6,
            non_blocking: false,
            options: Options::default(),
            bound: None,
            remote: None,
            state: State::Fresh,
            peer_closed: false,
            read_shut: false,
            write_shut: false,
            orphan: false,
            success_untold: false,
            error: None,
            peeked: Vec::new(),
            edges: Edges::default(),
            heard_at: now,
            writer_waits: false,
            spent: Spent::default(),
            early: 0,
            syn_data: SynData::None,
            end_told: false,
        }
    }

    /// Its connection, while there is one.
    pub(super) const fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Connecting(conn) | State::Connected(conn) => Some(conn),
            _ => None,
        }
    }

    /// Takes the error that waits to be seen.
    pub(super) const fn take_error(&mut self) -> Option<Errno> {
        self.error.take()
    }

    const fn wake(&mut self) {
        self.edges.readable += 1;
        self.edges.writable += 1;
    }
}

/// What a descriptor is.
#[derive(Debug)]
pub(super) enum Entry {
    /// The socket of this number.
    Socket(u64),
    /// A set of descriptors to be watched.
    Epoll(Epoll),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    entries: BTreeMap<i32, Entry>,
    by_number: BTreeMap<u64, Socket>,
}

impl Sockets {
    /// Adds a socket that has no descriptor yet.
    pub(super) fn add(&mut self, socket: Socket) {
        self.by_number.insert(socket.number, socket);
    }

    /// Gives what is behind a descriptor.
    pub(super) fn assign(&mut self, fd: i32, entry: Entry) {
        self.entries.insert(fd, entry);
    }

    /// Takes a descriptor away from what is behind it.
    pub(super) fn withdraw(&mut self, fd: i32) -> Result<Entry, Errno> {
        for entry in self.entries.values_mut() {
            if let Entry::Epoll(epoll) = entry {
                epoll.forget(fd);
            }
        }
        self.entries.remove(&fd).ok_or(Errno::EBADF)
    }

    /// Removes a socket.
    pub(super) fn remove(&mut self, number: u64) -> Option<Socket> {
        self.by_number.remove(&number)
    }

    /// Whether a descriptor is ours.
    pub(super) fn owns(&self, fd: i32) -> bool {
        self.entries.contains_key(&fd)
    }

    /// The socket of a descriptor.
    pub(super) fn of(&self, fd: i32) -> Result<&Socket, Errno> {
        match self.entries.get(&fd) {
            Some(Entry::Socket(number)) => self.by_number.get(number).ok_or(Errno::EBADF),
            Some(Entry::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    /// The same, to be changed.
    pub(super) fn of_mut(&mut self, fd: i32) -> Result<&mut Socket, Errno> {
        match self.entries.get(&fd) {
            Some(Entry::Socket(number)) => self.by_number.get_mut(number).ok_or(Errno::EBADF),
            Some(Entry::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    /// The watched set of a descriptor.
    pub(super) fn epoll(&mut self, fd: i32) -> Result<&mut Epoll, Errno> {
        match self.entries.get_mut(&fd) {
            Some(Entry::Epoll(epoll)) => Ok(epoll),
            Some(Entry::Socket(_)) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        }
    }

    /// A socket by its number.
    pub(super) fn by_number(&mut self, number: u64) -> Option<&mut Socket> {
        self.by_number.get_mut(&number)
    }

    /// All sockets.
    pub(super) fn all(&self) -> impl Iterator<Item = &Socket> {
        self.by_number.values()
    }

    fn of_listener(&mut self, wanted: ListenerId) -> Option<&mut Socket> {
        self.by_number.values_mut().find(
            |socket| matches!(socket.state, State::Listening { listener, .. } if listener == wanted),
        )
    }

    /// Something happened to a connection.
    pub(super) fn on_event(&mut self, now: Instant, event: Event) {
        if let Event::Accepted { user, conn, listener } = event {
            return self.on_accepted(now, (user, conn), listener);
        }
        let (Event::Connected { user }
        | Event::Readable { user }
        | Event::Writable { user }
        | Event::PeerClosed { user }
        | Event::Closed { user, .. }
        | Event::Accepted { user, .. }) = event;
        let Some(socket) = self.by_number.get_mut(&user) else { return };
        match event {
            Event::Accepted { .. } => {}
            Event::Connected { .. } => {
                if let State::Connecting(conn) = socket.state {
                    socket.state = State::Connected(conn);
                    socket.success_untold = true;
                    socket.heard_at = now;
                }
                socket.wake();
            }
            Event::Readable { .. } => {
                socket.heard_at = now;
                socket.edges.readable += 1;
            }
            Event::Writable { .. } => socket.edges.writable += 1,
            Event::PeerClosed { .. } => {
                socket.peer_closed = true;
                socket.wake();
            }
            Event::Closed { ending, .. } => {
                socket.error = match Errno::of_reason(ending) {
                    // A peer that has said that it will send no more has closed, for who still writes.
                    Some(Errno::ECONNRESET) if socket.peer_closed => Some(Errno::EPIPE),
                    error => error.filter(|_| !socket.end_told),
                };
                socket.state = State::Over;
                socket.wake();
                if socket.orphan {
                    self.by_number.remove(&user);
                }
            }
        }
    }

    fn on_accepted(&mut self, now: Instant, (user, conn): (u64, ConnId), listener: ListenerId) {
        let Some(parent) = self.of_listener(listener) else { return };
        let mut socket = Socket::new(user, parent.ipv6, now);
        socket.state = State::Connected(conn);
        socket.options = parent.options.clone();
        socket.bound = parent.bound;
        parent.edges.readable += 1;
        if let State::Listening { queue, .. } = &mut parent.state {
            queue.push_back(user);
        }
        self.by_number.insert(user, socket);
    }
}
