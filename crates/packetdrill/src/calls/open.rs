//! `socket`, `bind`, `listen`, `accept`, `connect`, `shutdown`, `close`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::errno::Errno;
use crate::host;
use crate::socket::{Entry, Socket, State};
use crate::world::World;
use linerate::shard::{ConnId, ConnectOptions, Early, ListenError, ListenerConfig};
use linerate::time::Duration;

/// Port of an unbound listener.
const PORT_UNBOUND: u16 = 40_000;

/// Remaining work of a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Nothing.
    Done,
    /// Wait until the connection of this socket is closed, up to this time.
    Lingers(u64, Duration),
}

impl World {
    /// Creates a socket on a reserved descriptor.
    pub(crate) fn socket(&mut self, fd: i32, ipv6: bool, non_blocking: bool) {
        let number = self.next_number();
        let mut socket = Socket::new(number, ipv6, self.now());
        socket.non_blocking = non_blocking;
        self.sockets.add(socket);
        self.sockets.assign(fd, Entry::Socket(number));
    }

    pub(crate) fn bind(&mut self, fd: i32, address: SocketAddr) -> Result<(), Errno> {
        let socket = self.sockets.of(fd)?;
        if socket.bound.is_some() || !matches!(socket.state, State::Fresh) {
            return Err(Errno::EINVAL);
        }
        let reuses = |socket: &Socket| {
            let key = (libc::SOL_SOCKET, libc::SO_REUSEADDR);
            socket.options.kept.get(&key).is_some_and(|on| *on != 0)
        };
        let (number, mine) = (socket.number, reuses(socket));
        let in_the_way = |other: &Socket| {
            let listens = matches!(other.state, State::Listening { .. });
            let same = other.bound.is_some_and(|bound| bound.port() == address.port());
            other.number != number && same && (listens || !mine || !reuses(other))
        };
        if address.port() != 0 && self.sockets.all().any(in_the_way) {
            return Err(Errno::EADDRINUSE);
        }
        if !address.ip().is_unspecified() {
            self.add_local_address(address.ip())?;
        }
        self.sockets.of_mut(fd)?.bound = Some(address);
        Ok(())
    }

    pub(crate) fn listen(&mut self, fd: i32, backlog: i32) -> Result<(), Errno> {
        let options = self.sockets.of(fd)?.options.clone();
        self.apply_host_settings(&options);
        let socket = self.sockets.of(fd)?;
        match socket.state {
            State::Fresh | State::Closed => {}
            State::Listening { .. } => return Ok(()),
            _ => return Err(Errno::EINVAL),
        }
        let bound = socket.bound;
        let config = ListenerConfig {
            address: bound.map(|bound| bound.ip()).filter(|ip| !ip.is_unspecified()),
            backlog: u32::try_from(backlog).unwrap_or(0).clamp(1, 4096),
            cookies: self.sysctl("tcp_syncookies").is_none_or(|value| value != 0),
            congestion: options.congestion.as_deref().and_then(host::algorithm),
            fast_open: self.fast_open_of(&options, backlog),
            ..ListenerConfig::on_port(bound.map_or(PORT_UNBOUND, |bound| bound.port()))
        };
        let listener = self.stack().listen(config).map_err(|error| match error {
            ListenError::InUse => Errno::EADDRINUSE,
            ListenError::NotLocal => Errno::EADDRNOTAVAIL,
            ListenError::NoPort | ListenError::Fixed => Errno::EINVAL,
            ListenError::TooMany => Errno::ENOBUFS,
        })?;
        self.sockets.of_mut(fd)?.state = State::Listening { listener, queue: VecDeque::new() };
        self.install_keys(&options);
        Ok(())
    }

    /// Accepts a connection, if one is ready: returns its socket number and its peer.
    pub(crate) fn accept(&mut self, fd: i32) -> Option<Result<(u64, SocketAddr), Errno>> {
        let first = match self.sockets.of(fd) {
            Err(error) => return Some(Err(error)),
            Ok(listener) => self.first_to_accept(listener),
        };
        let number = match self.sockets.of_mut(fd) {
            Err(error) => return Some(Err(error)),
            Ok(Socket { state: State::Listening { queue, .. }, .. }) => queue.remove(first?)?,
            Ok(_) => return Some(Err(Errno::EINVAL)),
        };
        let Some(socket) = self.sockets.by_number(number) else {
            return Some(Err(Errno::ECONNABORTED));
        };
        let (ipv6, conn, known) = (socket.ipv6, socket.conn(), socket.remote);
        let remote = match conn {
            Some(conn) => self.with_io(|io| io.info(conn)).map(|info| info.remote),
            None => known,
        };
        let unspecified = if ipv6 { "[::]:0" } else { "0.0.0.0:0" };
        let remote = remote.unwrap_or_else(|| unspecified.parse().expect("an address"));
        if let Some(socket) = self.sockets.by_number(number) {
            socket.remote = Some(remote);
        }
        self.apply_options(number);
        Some(Ok((number, remote)))
    }

    /// Returns the queue index of the first connection ready for accept. With `TCP_DEFER_ACCEPT` it
    /// must have data to read.
    pub(super) fn first_to_accept(&self, listener: &Socket) -> Option<usize> {
        let State::Listening { queue, .. } = &listener.state else { return None };
        if !listener.options.defers_accept() {
            return (!queue.is_empty()).then_some(0);
        }
        let speaks = |socket: &Socket| {
            let over = socket.peer_closed || matches!(socket.state, State::Closed);
            over || self.readable(socket) > 0
        };
        queue.iter().position(|number| {
            self.sockets.all().any(|socket| socket.number == *number && speaks(socket))
        })
    }

    /// Assigns a descriptor to an accepted socket.
    pub(crate) fn assign(&mut self, fd: i32, number: u64, non_blocking: bool) {
        if let Some(socket) = self.sockets.by_number(number) {
            socket.non_blocking = non_blocking;
        }
        self.sockets.assign(fd, Entry::Socket(number));
    }

    /// Starts an active open, or returns the state of the current one.
    ///
    /// # Errors
    /// `EINPROGRESS` if it has just started, `EALREADY` if it was in progress.
    pub(crate) fn connect(&mut self, fd: i32, remote: SocketAddr) -> Result<(), Errno> {
        let socket = self.sockets.of_mut(fd)?;
        match socket.state {
            State::Connecting(_) => return Err(Errno::EALREADY),
            State::Deferred(_) => return Err(Errno::EISCONN),
            State::Connected(_) if core::mem::take(&mut socket.connect_unreported) => return Ok(()),
            State::Connected(_) => return Err(Errno::EISCONN),
            State::Listening { .. } => return Err(Errno::EISCONN),
            State::Closed | State::Fresh => {
                if let Some(error) = socket.take_error() {
                    socket.state = State::Fresh;
                    return Err(error);
                }
            }
        }
        if self.sockets.of(fd)?.options.fast_open.connects {
            return self.connect_later(fd, remote);
        }
        self.open(fd, remote, None)?;
        Err(Errno::EINPROGRESS)
    }

    /// Opens a connection, with early data in the SYN if given.
    pub(super) fn open(
        &mut self,
        fd: i32,
        remote: SocketAddr,
        early: Option<&Early<'_>>,
    ) -> Result<ConnId, Errno> {
        let open = self.prepare(fd, remote)?;
        let conn = self.open_now(&open, open.user, early)?;
        let socket = self.sockets.of_mut(fd)?;
        socket.remote = Some(remote);
        (socket.peer_closed, socket.read_shut, socket.write_shut) = (false, false, false);
        Ok(conn)
    }

    /// Returns the options of an open after applying the host's settings.
    pub(super) fn prepare(&mut self, fd: i32, remote: SocketAddr) -> Result<ConnectOptions, Errno> {
        let options = self.sockets.of(fd)?.options.clone();
        self.apply_host_settings(&options);
        let socket = self.sockets.of_mut(fd)?;
        let (number, bound) = (socket.number, socket.bound);
        let bound = bound.map(|bound| bound.ip()).filter(|ip| !ip.is_unspecified());
        let local = bound.unwrap_or_else(|| self.local(remote.is_ipv6()));
        Ok(ConnectOptions { remote, local: Some(local), user: number })
    }

    /// Opens a connection. Links the socket to it before the first packet can be answered.
    fn open_now(
        &mut self,
        open: &ConnectOptions,
        number: u64,
        early: Option<&Early<'_>>,
    ) -> Result<ConnId, Errno> {
        let conn = match early {
            None => self.with_io(|io| io.connect(open)),
            Some(early) => self.with_io(|io| io.connect_with(open, early)).map(|(conn, _)| conn),
        };
        let conn = conn.map_err(Errno::of_connect)?;
        if let Some(socket) = self.sockets.by_number(number) {
            socket.state = State::Connecting(conn);
        }
        self.apply_options(number);
        Ok(conn)
    }

    /// Returns the result of an active open; `None` while it is in progress.
    pub(crate) fn connected(&mut self, fd: i32) -> Option<Result<(), Errno>> {
        let socket = match self.sockets.of_mut(fd) {
            Ok(socket) => socket,
            Err(error) => return Some(Err(error)),
        };
        match socket.state {
            State::Connecting(_) => None,
            State::Connected(_) => {
                socket.connect_unreported = false;
                Some(Ok(()))
            }
            _ => {
                socket.state = State::Fresh;
                Some(Err(socket.take_error().unwrap_or(Errno::ECONNABORTED)))
            }
        }
    }

    /// Handles `connect` to `AF_UNSPEC`: dissolves the association.
    pub(crate) fn disconnect(&mut self, fd: i32) -> Result<(), Errno> {
        let conn = self.sockets.of(fd)?.conn();
        if let Some(conn) = conn {
            self.with_io(|io| {
                io.set_user_data(conn, 0);
                io.abort(conn);
            });
        }
        let socket = self.sockets.of_mut(fd)?;
        socket.state = State::Fresh;
        socket.error = None;
        (socket.peer_closed, socket.read_shut, socket.write_shut) = (false, false, false);
        Ok(())
    }

    pub(crate) fn shutdown(&mut self, fd: i32, how: i32) -> Result<(), Errno> {
        let socket = self.sockets.of_mut(fd)?;
        let (reading, writing) = match how {
            libc::SHUT_RD => (true, false),
            libc::SHUT_WR => (false, true),
            libc::SHUT_RDWR => (true, true),
            _ => return Err(Errno::EINVAL),
        };
        let State::Connected(conn) = socket.state else { return Err(Errno::ENOTCONN) };
        socket.read_shut |= reading;
        let closes = writing && !core::mem::replace(&mut socket.write_shut, true);
        socket.write_shut = writing || socket.write_shut && !closes;
        if closes {
            self.with_io(|io| io.close(conn));
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, fd: i32) -> Result<Closing, Errno> {
        let number = match self.sockets.remove_descriptor(fd)? {
            Entry::Socket(number) => number,
            Entry::Epoll(_) => return Ok(Closing::Done),
        };
        let Some(socket) = self.sockets.by_number(number) else { return Ok(Closing::Done) };
        socket.orphan = true;
        let (linger, blocks) = (socket.options.linger, !socket.non_blocking);
        match &mut socket.state {
            State::Fresh | State::Deferred(_) | State::Closed => {
                self.sockets.remove(number);
            }
            State::Listening { listener, queue } => {
                let (listener, queue) = (*listener, core::mem::take(queue));
                self.sockets.remove(number);
                self.close_listener(listener, queue);
            }
            State::Connecting(conn) => {
                let conn = *conn;
                self.with_io(|io| io.close_both(conn));
            }
            State::Connected(conn) => {
                let conn = *conn;
                let unread = !socket.peeked.is_empty();
                if linger.on && linger.seconds == 0 || unread {
                    self.with_io(|io| io.abort(conn));
                } else {
                    self.with_io(|io| io.close_both(conn));
                    if linger.on && blocks && self.sockets.by_number(number).is_some() {
                        let span = Duration::from_secs(u64::from(linger.seconds));
                        return Ok(Closing::Lingers(number, span));
                    }
                }
            }
        }
        Ok(Closing::Done)
    }

    /// Closes a listener and resets the connections that were not accepted.
    fn close_listener(&mut self, listener: linerate::shard::ListenerId, queue: VecDeque<u64>) {
        self.stack().unlisten(listener);
        for number in queue {
            let conn = self.sockets.remove(number).and_then(|socket| socket.conn());
            if let Some(conn) = conn {
                self.with_io(|io| io.abort(conn));
            }
        }
    }
}
