//! Sockets as the program sees them, and the descriptor table.
//!
//! Owns the state that outlives the connection: options, pending errors, directions shut by the
//! program. A connection that is not accepted yet, or that lingers after its descriptor is closed,
//! is a socket with a number and no descriptor.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::epoll::{Edges, Epoll};
use super::errno::Errno;
use super::limit_times::LimitTimes;
use super::program::Event;
use linerate::shard::{ConnId, ListenerId, SynData};
use linerate::time::{Duration, Instant};

/// State of a socket.
#[derive(Debug)]
pub(super) enum State {
    /// Neither listening nor connected.
    Fresh,
    /// A passive open, with the numbers of sockets not accepted yet.
    Listening { listener: ListenerId, queue: VecDeque<u64> },
    /// An active open that begins with the first write (`TCP_FASTOPEN_CONNECT`).
    Deferred(SocketAddr),
    /// An active open without an answer yet.
    Connecting(ConnId),
    /// Established, until both directions are closed and all data is read.
    Connected(ConnId),
    /// The connection is closed.
    Closed,
}

/// Value of `SO_LINGER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Linger {
    pub(super) on: bool,
    pub(super) seconds: u16,
}

/// Options of a socket; accepted sockets inherit them from the listener.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Stored values by level and name.
    pub(super) kept: BTreeMap<(i32, i32), i32>,
    pub(super) no_delay: bool,
    pub(super) cork: bool,
    /// True if `TCP_CORK` was ever set.
    pub(super) corked: bool,
    /// `TCP_CONGESTION`.
    pub(super) congestion: Option<String>,
    pub(super) linger: Linger,
    /// True if the last write had `MSG_MORE`.
    pub(super) more: bool,
    pub(super) receive_timeout: Option<Duration>,
    pub(super) send_timeout: Option<Duration>,
    /// `SO_SNDBUF`, if set.
    pub(super) send_buffer: Option<u32>,
    /// `TCP_INQ`.
    pub(super) reports_inq: bool,
    /// `SO_RCVLOWAT`.
    pub(super) receive_low_water: usize,
    /// Fast Open.
    pub(super) fast_open: FastOpenOptions,
}

/// Fast Open options.
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
            reports_inq: false,
            receive_low_water: 1,
            fast_open: FastOpenOptions::default(),
        }
    }
}

/// Half of the minimum receive buffer; the other half is the kernel's own overhead.
const WINDOW_MIN: u32 = 1152;

impl Options {
    fn positive(&self, key: (i32, i32)) -> Option<u32> {
        self.kept.get(&key).and_then(|value| u32::try_from(*value).ok())
    }

    /// Returns the window limit from `SO_RCVBUF` and `TCP_WINDOW_CLAMP`.
    pub(super) fn window_max(&self) -> Option<u32> {
        let buffer = self.positive((libc::SOL_SOCKET, libc::SO_RCVBUF));
        let forced = self.positive((libc::SOL_SOCKET, libc::SO_RCVBUFFORCE));
        let clamp =
            self.positive((libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP)).filter(|clamp| *clamp > 0);
        let most = [buffer, forced, clamp].into_iter().flatten().min()?;
        Some(most.max(WINDOW_MIN))
    }

    /// Returns true if accept waits for data (`TCP_DEFER_ACCEPT`).
    pub(super) fn defers_accept(&self) -> bool {
        self.positive((libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT)).is_some_and(|on| on > 0)
    }

    /// Returns the unsent limit in bytes, above which writes are refused (`TCP_NOTSENT_LOWAT`).
    pub(super) fn unsent_max(&self) -> u32 {
        let lowat = self.positive((libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT));
        lowat.filter(|lowat| *lowat > 0).unwrap_or(u32::MAX)
    }
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
    /// True after the peer's FIN.
    pub(super) peer_closed: bool,
    /// True if the program has shut the read direction.
    pub(super) read_shut: bool,
    /// True if the program has shut the write direction.
    pub(super) write_shut: bool,
    /// True if the descriptor is closed.
    pub(super) orphan: bool,
    /// True if an active open succeeded and the program has not seen it.
    pub(super) connect_unreported: bool,
    /// Pending error.
    pub(super) error: Option<Errno>,
    /// Data that a `MSG_PEEK` has read ahead.
    pub(super) peeked: Vec<u8>,
    pub(super) edges: Edges,
    /// Time of the last data arrival.
    pub(super) last_data_at: Instant,
    /// True if a write waits for room.
    pub(super) writer_waits: bool,
    /// Time spent waiting, by limit.
    pub(super) limit_times: LimitTimes,
    /// Bytes of data in the SYN.
    pub(super) early: u32,
    /// Fate of the data in the SYN, once known.
    pub(super) syn_data: SynData,
    /// True if the error of a closed connection with unread data was returned.
    pub(super) close_error_reported: bool,
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
            connect_unreported: false,
            error: None,
            peeked: Vec::new(),
            edges: Edges::default(),
            last_data_at: now,
            writer_waits: false,
            limit_times: LimitTimes::default(),
            early: 0,
            syn_data: SynData::None,
            close_error_reported: false,
        }
    }

    /// Returns its connection, if any.
    pub(super) const fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Connecting(conn) | State::Connected(conn) => Some(conn),
            _ => None,
        }
    }

    /// Takes the pending error.
    pub(super) const fn take_error(&mut self) -> Option<Errno> {
        self.error.take()
    }

    const fn wake(&mut self) {
        self.edges.readable += 1;
        self.edges.writable += 1;
    }
}

/// Object behind a descriptor.
#[derive(Debug)]
pub(super) enum Entry {
    /// A socket, by number.
    Socket(u64),
    /// An epoll instance.
    Epoll(Epoll),
}

/// All sockets and descriptors.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    entries: BTreeMap<i32, Entry>,
    by_number: BTreeMap<u64, Socket>,
}

impl Sockets {
    /// Adds a socket without a descriptor.
    pub(super) fn add(&mut self, socket: Socket) {
        self.by_number.insert(socket.number, socket);
    }

    /// Assigns an object to a descriptor.
    pub(super) fn assign(&mut self, fd: i32, entry: Entry) {
        self.entries.insert(fd, entry);
    }

    /// Removes a descriptor and returns its object.
    pub(super) fn remove_descriptor(&mut self, fd: i32) -> Result<Entry, Errno> {
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

    /// Returns true if a descriptor belongs to this stack.
    pub(super) fn owns(&self, fd: i32) -> bool {
        self.entries.contains_key(&fd)
    }

    /// Returns the socket of a descriptor.
    pub(super) fn of(&self, fd: i32) -> Result<&Socket, Errno> {
        match self.entries.get(&fd) {
            Some(Entry::Socket(number)) => self.by_number.get(number).ok_or(Errno::EBADF),
            Some(Entry::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    /// Returns the socket of a descriptor, mutably.
    pub(super) fn of_mut(&mut self, fd: i32) -> Result<&mut Socket, Errno> {
        match self.entries.get(&fd) {
            Some(Entry::Socket(number)) => self.by_number.get_mut(number).ok_or(Errno::EBADF),
            Some(Entry::Epoll(_)) => Err(Errno::ENOTSOCK),
            None => Err(Errno::EBADF),
        }
    }

    /// Returns the epoll instance of a descriptor.
    pub(super) fn epoll(&mut self, fd: i32) -> Result<&mut Epoll, Errno> {
        match self.entries.get_mut(&fd) {
            Some(Entry::Epoll(epoll)) => Ok(epoll),
            Some(Entry::Socket(_)) => Err(Errno::EINVAL),
            None => Err(Errno::EBADF),
        }
    }

    /// Returns a socket by its number.
    pub(super) fn by_number(&mut self, number: u64) -> Option<&mut Socket> {
        self.by_number.get_mut(&number)
    }

    /// Returns all sockets.
    pub(super) fn all(&self) -> impl Iterator<Item = &Socket> {
        self.by_number.values()
    }

    fn of_listener(&mut self, wanted: ListenerId) -> Option<&mut Socket> {
        self.by_number.values_mut().find(
            |socket| matches!(socket.state, State::Listening { listener, .. } if listener == wanted),
        )
    }

    /// Applies an event to its socket.
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
                    socket.connect_unreported = true;
                    socket.last_data_at = now;
                }
                socket.wake();
            }
            Event::Readable { .. } => {
                socket.last_data_at = now;
                socket.edges.readable += 1;
            }
            Event::Writable { .. } => socket.edges.writable += 1,
            Event::PeerClosed { .. } => {
                socket.peer_closed = true;
                socket.wake();
            }
            Event::Closed { reason, .. } => {
                socket.error = match Errno::of_reason(reason) {
                    // After the peer's FIN, a reset is `EPIPE` for a writer.
                    Some(Errno::ECONNRESET) if socket.peer_closed => Some(Errno::EPIPE),
                    error => error.filter(|_| !socket.close_error_reported),
                };
                socket.state = State::Closed;
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
