//! Reading and writing: each attempt transfers as many bytes as possible.

use crate::errno::Errno;
use crate::socket::{Socket, State};
use crate::world::World;
use linerate::shard::SocketOption;
use linerate::tcp::Info;

/// Result of a read.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// Bytes left to read, if the socket has `TCP_INQ`.
    pub(crate) left: Option<i32>,
}

/// A write in progress.
#[derive(Debug)]
pub(crate) struct Written {
    bytes: Vec<u8>,
    taken: usize,
    flags: i32,
}

impl Written {
    pub(crate) const fn new(bytes: Vec<u8>, flags: i32) -> Self {
        Self { bytes, taken: 0, flags }
    }

    /// Returns the bytes accepted so far.
    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }

    /// Returns the number of bytes not accepted yet.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Takes up to `most` bytes and counts them as accepted.
    pub(super) fn take(&mut self, most: usize) -> Vec<u8> {
        let rest = &self.bytes[self.taken..];
        let taken = rest[..rest.len().min(most)].to_vec();
        self.taken += taken.len();
        taken
    }

    /// Returns the flags of the call.
    pub(crate) const fn flags(&self) -> i32 {
        self.flags
    }
}

/// Returns the bytes written but never sent.
pub(super) fn unsent(info: &Info) -> u32 {
    info.send_queued.saturating_sub(info.snd_nxt.distance_from(info.snd_una))
}

impl World {
    /// Returns the number of bytes ready to read.
    pub(crate) fn readable(&self, socket: &Socket) -> usize {
        let queued = self.inspect(socket).map_or(0, |info| info.receive_queued);
        socket.peeked.len() + queued as usize
    }

    /// Reads available data; `None` if the call must wait.
    pub(crate) fn read(
        &mut self,
        fd: i32,
        most: usize,
        flags: i32,
    ) -> Option<Result<Received, Errno>> {
        let socket = match self.sockets.of(fd) {
            Ok(socket) => socket,
            Err(error) => return Some(Err(error)),
        };
        let number = socket.number;
        let waiting = self.readable(socket);
        let wanted = if flags & libc::MSG_WAITALL != 0 { most.max(1) } else { 1 };
        let ended = socket.peer_closed || socket.read_shut || matches!(socket.state, State::Closed);
        if waiting >= wanted || waiting > 0 && (ended || most <= waiting) {
            return Some(Ok(self.take(number, most, flags)));
        }
        let socket = self.sockets.by_number(number)?;
        if let Some(error) = socket.take_error() {
            return Some(Err(error));
        }
        match socket.state {
            State::Fresh | State::Listening { .. } => Some(Err(Errno::ENOTCONN)),
            _ if ended => Some(Ok(Received::default())),
            _ if most == 0 => Some(Ok(Received::default())),
            _ => None,
        }
    }

    fn take(&mut self, number: u64, most: usize, flags: i32) -> Received {
        let peeks = flags & libc::MSG_PEEK != 0;
        let Some(socket) = self.sockets.by_number(number) else { return Received::default() };
        let (conn, mut bytes) = (socket.conn(), core::mem::take(&mut socket.peeked));
        let ahead = bytes.len();
        if let Some(conn) = conn.filter(|_| ahead < most) {
            bytes.resize(most, 0);
            let taken = self.with_io(|io| io.read(conn, &mut bytes[ahead..]));
            bytes.truncate(ahead + taken);
        }
        let rest = if peeks { bytes.clone() } else { bytes.split_off(most.min(bytes.len())) };
        bytes.truncate(most);
        if let Some(socket) = self.sockets.by_number(number) {
            socket.peeked = rest;
        }
        let left = self.inq(number);
        Received { bytes, left }
    }

    /// Returns read bytes that could not be delivered to the front of the socket's queue.
    pub(crate) fn unread(&mut self, fd: i32, mut bytes: Vec<u8>) {
        if let Ok(socket) = self.sockets.of_mut(fd) {
            bytes.append(&mut socket.peeked);
            socket.peeked = bytes;
        }
    }

    fn inq(&mut self, number: u64) -> Option<i32> {
        let socket = self.sockets.by_number(number).filter(|socket| socket.options.reports_inq)?;
        let number = socket.number;
        let socket = self.sockets.all().find(|socket| socket.number == number)?;
        let left = self.readable(socket);
        // The end of the stream counts as one more byte.
        let left = if left == 0 && socket.peer_closed { 1 } else { left };
        Some(i32::try_from(left).unwrap_or(i32::MAX))
    }

    /// Writes as much as fits; `None` if some data is left.
    pub(crate) fn write(&mut self, fd: i32, written: &mut Written) -> Option<Result<usize, Errno>> {
        let socket = match self.sockets.of_mut(fd) {
            Ok(socket) => socket,
            Err(error) => return Some(Err(error)),
        };
        let refused = match socket.state {
            State::Connected(_) if !socket.write_shut => None,
            State::Connecting(_) => return None,
            State::Deferred(_) => Some(Errno::EAGAIN),
            _ => Some(socket.take_error().unwrap_or(Errno::EPIPE)),
        };
        if let Some(error) = refused {
            return Some(if written.taken > 0 { Ok(written.taken) } else { Err(error) });
        }
        if let Some(error) = self.error_of_end(fd) {
            return Some(Err(error));
        }
        let socket = self.sockets.of(fd).ok()?;
        let (conn, room) = (socket.conn()?, self.room(socket));
        let rest = &written.bytes[written.taken..];
        let offered = &rest[..rest.len().min(room)];
        let socket = self.sockets.of_mut(fd).ok()?;
        let urgent = written.flags & libc::MSG_OOB != 0;
        let more = written.flags & libc::MSG_MORE != 0;
        let was_more = core::mem::replace(&mut socket.options.more, more);
        let taken = self.with_io(|io| {
            if more != was_more {
                io.set_option(conn, SocketOption::MoreFollows(more));
            }
            if urgent { io.write_urgent(conn, offered) } else { io.write(conn, offered) }
        });
        written.taken += taken;
        self.sockets.of_mut(fd).ok()?.writer_waits = written.taken < written.bytes.len();
        (written.taken == written.bytes.len()).then_some(Ok(written.taken))
    }

    /// Returns the bytes that the socket's limits allow to write.
    pub(crate) fn room(&self, socket: &Socket) -> usize {
        let info = self.inspect(socket);
        let (queued, unsent) = info.map_or((0, 0), |info| (info.send_queued, unsent(&info)));
        if unsent >= socket.options.unsent_max() {
            return 0;
        }
        let limit = socket.options.send_buffer.unwrap_or(u32::MAX);
        limit.saturating_sub(queued) as usize
    }
}
