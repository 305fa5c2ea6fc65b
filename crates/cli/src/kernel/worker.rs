//! The [`Io`] of a service on the kernel's sockets: a slab of [`Socket`]s and one epoll instance.
//!
//! Owns the connections of one thread. A call never calls the service back: it queues a [`Notice`],
//! which [`dispatch`](super::dispatch) delivers after the callback returns.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use linerate::shard::{
    CloseReason, ConnId, ConnInfo, ConnectError, ConnectOptions, Early, Io, SocketOption, Status,
};
use linerate::tcp::congestion::Algorithm;
use linerate::time::Instant;
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, TcpKeepalive, Type};

use super::socket::{Outcome, Socket};
use super::tcp_info;
use super::{bounds, errors, fast_open};
use crate::options::{CongestionControl, StackOptions};

/// A notification that is waiting for delivery to the service.
#[derive(Debug)]
pub(super) enum Notice {
    /// The peer's FIN was read.
    PeerClosed(ConnId),
    /// The connection was removed; its user data and close reason.
    Closed(ConnId, u64, CloseReason),
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

/// The connections of one thread.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) poll: Poll,
    pub(super) now: Instant,
    pub(super) notices: VecDeque<Notice>,
    /// Connections that spent their budget in this turn.
    pub(super) deferred: Vec<ConnId>,
    pub(super) alarm_at: Option<Instant>,
    pub(super) is_stopping: bool,
    pub(super) turn: u64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    clock: std::time::Instant,
    nagle: bool,
    congestion: Option<CongestionControl>,
    max_connections: usize,
    /// The kernel's default source address for each target.
    default_sources: HashMap<IpAddr, Option<IpAddr>>,
    scratch: Box<[u8]>,
    /// RetransSegs at the start; `None` on all workers but the first.
    retransmissions_before: Option<u64>,
}

impl Worker {
    /// Creates a worker without connections.
    ///
    /// # Errors
    /// Fails if the epoll instance cannot be created.
    pub(super) fn new(number: usize, options: &StackOptions) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            now: Instant::ZERO,
            notices: VecDeque::new(),
            deferred: Vec::new(),
            alarm_at: None,
            is_stopping: false,
            turn: 0,
            slots: Vec::new(),
            free: Vec::new(),
            clock: std::time::Instant::now(),
            nagle: options.nagle,
            congestion: options.congestion_control,
            max_connections: options.max_connections as usize,
            default_sources: HashMap::new(),
            scratch: vec![0; 64 * 1024].into_boxed_slice(),
            retransmissions_before: (number == 0).then(tcp_info::retransmissions_of_namespace),
        })
    }

    /// Reads the clock.
    pub(super) fn tick(&mut self) -> Instant {
        let nanos = u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Some services use zero for "never".
        self.now = Instant::from_nanos(nanos.saturating_add(1));
        self.now
    }

    pub(super) fn socket(&self, conn: ConnId) -> Option<&Socket> {
        let slot = self.slots.get(conn.index as usize)?;
        slot.socket.as_ref().filter(|_| slot.generation == conn.generation)
    }

    pub(super) fn socket_mut(&mut self, conn: ConnId) -> Option<&mut Socket> {
        let turn = self.turn;
        let slot = self.slots.get_mut(conn.index as usize)?;
        let socket = slot.socket.as_mut().filter(|_| slot.generation == conn.generation)?;
        socket.enter_turn(turn);
        Some(socket)
    }

    /// Adds a connection to the slab and registers it with epoll.
    pub(super) fn insert(&mut self, mut socket: Socket) -> io::Result<ConnId> {
        let index = self.free.pop().unwrap_or(self.slots.len() as u32);
        if index as usize == self.slots.len() {
            self.slots.push(Slot::default());
        }
        let generation = self.slots[index as usize].generation;
        let conn = ConnId { index, generation };
        let interest = if socket.watches_writable {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        if let Err(error) = self.poll.registry().register(&mut socket.stream, token(conn), interest)
        {
            self.free.push(index);
            return Err(error);
        }
        self.slots[index as usize].socket = Some(socket);
        Ok(conn)
    }

    /// Closes the descriptor and queues a notice. The handle becomes stale.
    pub(super) fn remove(&mut self, conn: ConnId, reason: CloseReason) {
        let Some(slot) = self.slots.get_mut(conn.index as usize) else { return };
        if slot.generation != conn.generation {
            return;
        }
        if let Some(socket) = slot.socket.take() {
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(conn.index);
            self.notices.push_back(Notice::Closed(conn, socket.user, reason));
        }
    }

    /// Schedules the connection for the next turn, in case epoll reports no event.
    pub(super) fn defer(&mut self, conn: ConnId) {
        if let Some(socket) = self.socket_mut(conn)
            && !socket.deferred
        {
            socket.deferred = true;
            self.deferred.push(conn);
        }
    }

    /// Registers the connection for writability, at its first short write.
    fn watch_writable(&mut self, conn: ConnId) {
        let slot = &mut self.slots[conn.index as usize];
        let Some(socket) = slot.socket.as_mut().filter(|socket| !socket.watches_writable) else {
            return;
        };
        socket.watches_writable = true;
        let both = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().reregister(&mut socket.stream, token(conn), both).is_err() {
            self.remove(conn, CloseReason::NoBuffers);
        }
    }

    /// Calls `write` for `length` bytes, and makes sure that room is noticed if it was short.
    fn write_with(
        &mut self,
        conn: ConnId,
        length: usize,
        write: impl FnOnce(&mut Socket) -> Outcome,
    ) -> usize {
        let Some(socket) = self.socket_mut(conn) else { return 0 };
        match write(socket) {
            Outcome::Bytes(accepted) => {
                if socket.is_staging() {
                    self.watch_writable(conn);
                } else if accepted < length && socket.budget_is_spent() {
                    self.defer(conn);
                }
                accepted
            }
            Outcome::Failed(error) => {
                self.remove(conn, errors::close_reason(&error));
                0
            }
            Outcome::End => 0,
        }
    }

    /// Removes a connection whose two directions are closed as far as a program can see.
    pub(super) fn finish(&mut self, conn: ConnId) {
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Some(socket) = self.socket_mut(conn) {
            socket.drain(&mut scratch);
        }
        self.scratch = scratch;
        self.remove(conn, CloseReason::Finished);
    }

    /// Sends our FIN if no bytes are staged.
    pub(super) fn try_fin(&mut self, conn: ConnId) {
        let Some(socket) = self.socket_mut(conn) else { return };
        if !socket.fin_wanted || socket.fin_sent || socket.is_staging() {
            return;
        }
        if socket.peer_closed {
            return self.finish(conn);
        }
        if let Err(error) = socket.send_fin() {
            // ENOTCONN means that the connection has just failed; SO_ERROR has the cause.
            let cause = socket.stream.take_error().ok().flatten().unwrap_or(error);
            self.remove(conn, errors::close_reason(&cause));
        }
    }

    fn open_socket(
        &mut self,
        open: &ConnectOptions,
        early: Option<&Early<'_>>,
    ) -> io::Result<TcpStream> {
        let domain = Domain::for_address(open.remote);
        let socket = socket2::Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        if let Some(name) = self.congestion {
            socket.set_tcp_congestion(name.kernel_name().as_bytes())?;
        }
        if let Some(local) = open.local
            && self.default_source(open.remote) != Some(local)
        {
            setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        if early.is_some() {
            fast_open::connect(&socket)?;
        }
        match socket.connect(&open.remote.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    /// Opens a connection, with data in the SYN if the kernel has a cookie from the server. Returns
    /// the number of bytes that the kernel accepted.
    fn open(
        &mut self,
        open: &ConnectOptions,
        early: Option<&Early<'_>>,
    ) -> Result<(ConnId, usize), ConnectError> {
        if self.connections() >= self.max_connections {
            return Err(ConnectError::TableFull);
        }
        let opened_at = self.tick();
        match self.open_socket(open, early) {
            Ok(mut stream) => {
                // Without a cookie the handshake is in progress, and the socket accepts no data
                // yet.
                let accepted = early.map_or(0, |early| stream.write(early.data).unwrap_or(0));
                let socket = Socket::connecting(stream, open.user, opened_at, self.nagle);
                let conn = self.insert(socket).map_err(|_| ConnectError::TableFull)?;
                Ok((conn, accepted))
            }
            Err(error) => {
                let reason = errors::of_connect(&error)?;
                // The connection failed before it had a slot: return a stale handle and queue its
                // notice.
                let conn = ConnId { index: u32::MAX, generation: 0 };
                self.notices.push_back(Notice::Closed(conn, open.user, reason));
                Ok((conn, 0))
            }
        }
    }

    /// Returns the source address that the kernel's routes select for a target. Connects a UDP
    /// socket to find it, which sends nothing, and caches the result.
    fn default_source(&mut self, remote: SocketAddr) -> Option<IpAddr> {
        *self.default_sources.entry(remote.ip()).or_insert_with(|| {
            let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).ok()?;
            socket.connect(remote).ok()?;
            socket.local_addr().ok().map(|address| address.ip())
        })
    }
}

/// Returns the epoll token of a connection.
pub(super) fn token(conn: ConnId) -> Token {
    Token((conn.generation as usize) << 32 | conn.index as usize)
}

impl Io for Worker {
    fn now(&self) -> Instant {
        self.now
    }

    fn connect(&mut self, open: &ConnectOptions) -> Result<ConnId, ConnectError> {
        self.open(open, None).map(|(conn, _)| conn)
    }

    fn connect_with(
        &mut self,
        open: &ConnectOptions,
        early: &Early<'_>,
    ) -> Result<(ConnId, usize), ConnectError> {
        self.open(open, Some(early))
    }

    fn read(&mut self, conn: ConnId, buffer: &mut [u8]) -> usize {
        let Some(socket) = self.socket_mut(conn) else { return 0 };
        match socket.read(buffer) {
            Outcome::Bytes(0) if socket.readable && socket.budget_is_spent() => {
                self.defer(conn);
                0
            }
            Outcome::Bytes(bytes) => bytes,
            Outcome::End => {
                if !socket.peer_closed {
                    socket.peer_closed = true;
                    self.notices.push_back(Notice::PeerClosed(conn));
                }
                0
            }
            Outcome::Failed(error) => {
                self.remove(conn, errors::close_reason(&error));
                0
            }
        }
    }

    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> usize {
        self.write_with(conn, bytes.len(), |socket| socket.write(bytes))
    }

    fn write_slices(&mut self, conn: ConnId, slices: &[IoSlice<'_>]) -> usize {
        let length = slices.iter().map(|slice| slice.len()).sum();
        self.write_with(conn, length, |socket| socket.write_slices(slices))
    }

    fn write_room(&self, conn: ConnId) -> usize {
        self.socket(conn).map_or(0, Socket::room)
    }

    fn readable(&self, conn: ConnId) -> usize {
        self.socket(conn).filter(|socket| socket.readable).map_or(0, |socket| {
            // Peeking copies the data, so count one page at most.
            let mut buffer = [0; 4096];
            socket.stream.peek(&mut buffer).unwrap_or(0)
        })
    }

    fn close(&mut self, conn: ConnId) {
        let Some(socket) = self.socket_mut(conn) else { return };
        if socket.connecting {
            return self.remove(conn, CloseReason::Aborted);
        }
        socket.fin_wanted = true;
        self.try_fin(conn);
    }

    fn close_both(&mut self, conn: ConnId) {
        // Once the descriptor is closed, the kernel finishes the connection in the background.
        if self.socket(conn).is_some() {
            self.remove(conn, CloseReason::Finished);
        }
    }

    fn close_by(&mut self, conn: ConnId, deadline: Instant) {
        if let Some(socket) = self.socket(conn) {
            let linger = Some(deadline.since(self.now).into());
            let _ = socket2::SockRef::from(&socket.stream).set_linger(linger);
        }
        self.close_both(conn);
    }

    fn abort(&mut self, conn: ConnId) {
        if let Some(socket) = self.socket(conn) {
            // Closing with a linger time of zero sends a reset.
            let linger = Some(std::time::Duration::ZERO);
            let _ = socket2::SockRef::from(&socket.stream).set_linger(linger);
            self.remove(conn, CloseReason::Aborted);
        }
    }

    fn set_option(&mut self, conn: ConnId, option: SocketOption) {
        let Some(socket) = self.socket_mut(conn) else { return };
        // Options are hints: if the kernel rejects one, the old value stays.
        let _ = match option {
            SocketOption::Nagle(on) => {
                socket.nodelay_set = true;
                socket.stream.set_nodelay(!on)
            }
            SocketOption::KeepAlive(on) => socket2::SockRef::from(&socket.stream).set_keepalive(on),
            SocketOption::KeepAliveTimes(times) => {
                let times = TcpKeepalive::new()
                    .with_time(times.idle.into())
                    .with_interval(times.interval.into())
                    .with_retries(u32::from(times.probes));
                socket2::SockRef::from(&socket.stream).set_tcp_keepalive(&times)
            }
            SocketOption::Cork(on) => socket2::SockRef::from(&socket.stream).set_tcp_cork(on),
            SocketOption::QuickAck(on) => {
                socket2::SockRef::from(&socket.stream).set_tcp_quickack(on)
            }
            SocketOption::UserTimeout(span) => socket2::SockRef::from(&socket.stream)
                .set_tcp_user_timeout(span.map(std::time::Duration::from)),
            SocketOption::CongestionControl(algorithm) => {
                let name = match algorithm {
                    Algorithm::NewReno => "reno",
                    other => other.name(),
                };
                socket2::SockRef::from(&socket.stream).set_tcp_congestion(name.as_bytes())
            }
            // The kernel doubles the value, for its own overhead.
            SocketOption::SendBuffer(Some(bytes)) => {
                socket2::SockRef::from(&socket.stream).set_send_buffer_size(bytes as usize)
            }
            SocketOption::ReceiveBuffer(Some(bytes)) | SocketOption::WindowMax(Some(bytes)) => {
                socket2::SockRef::from(&socket.stream).set_recv_buffer_size(bytes as usize)
            }
            SocketOption::Mss(mss) => {
                socket2::SockRef::from(&socket.stream).set_tcp_mss(u32::from(mss.max(88)))
            }
            SocketOption::HopLimit(hops) => bounds::set_hop_limit(&socket.stream, hops),
            SocketOption::NotSentLowWater(bytes) => {
                bounds::set_not_sent_low_water(&socket.stream, bytes)
            }
            SocketOption::ReceiveLowWater(bytes) => {
                bounds::set_receive_low_water(&socket.stream, bytes)
            }
            // Not supported on kernel sockets: they have no such option, the SYN has left before
            // the program gets the handle, pacing needs a privilege to work well, or (ECN) the host
            // decides.
            SocketOption::PacingRateMax(_)
            | SocketOption::WindowMax(None)
            | SocketOption::SendBuffer(None)
            | SocketOption::ReceiveBuffer(None)
            | SocketOption::MoreFollows(_)
            | SocketOption::UserTimeoutOption(_)
            | SocketOption::SynRetries(_)
            | SocketOption::Ecn(_) => Ok(()),
            SocketOption::DiffServ(code_point) => {
                let class = u32::from(code_point.min(63)) << 2;
                let socket = socket2::SockRef::from(&socket.stream);
                socket.set_tos_v4(class).or_else(|_| socket.set_tclass_v6(class))
            }
        };
    }

    fn status(&self, conn: ConnId) -> Status {
        match self.socket(conn) {
            None => Status::Stale,
            Some(socket) if socket.connecting => Status::Opening,
            // Until a read has returned the end of the stream, more may be left to read.
            Some(socket) => Status::Open { peer_closed: socket.peer_closed && !socket.readable },
        }
    }

    fn endpoints(&self, conn: ConnId) -> Option<(SocketAddr, SocketAddr)> {
        let stream = &self.socket(conn)?.stream;
        Some((stream.local_addr().ok()?, stream.peer_addr().ok()?))
    }

    fn report_panic(&mut self, message: &str) {
        eprintln!("linerate: a task panicked, and its connections were reset: {message}");
    }

    fn user_data(&self, conn: ConnId) -> u64 {
        self.socket(conn).map_or(0, |socket| socket.user)
    }

    fn set_user_data(&mut self, conn: ConnId, user: u64) {
        if let Some(socket) = self.socket_mut(conn) {
            socket.user = user;
        }
    }

    fn info(&self, conn: ConnId) -> Option<ConnInfo> {
        tcp_info::of(&self.socket(conn)?.stream)
    }

    fn retransmissions(&self) -> u64 {
        self.retransmissions_before
            .map_or(0, |before| tcp_info::retransmissions_of_namespace().saturating_sub(before))
    }

    fn set_alarm(&mut self, at: Instant) {
        self.alarm_at = Some(self.alarm_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn stop(&mut self) {
        self.is_stopping = true;
    }

    fn connections(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
