//! TCP Fast Open calls: options of listeners and of connecting sockets, and opens with data.
//!
//! Errors follow Linux. The bits and keys of the `tcp_fastopen` `sysctl`s are read when needed.

use std::net::SocketAddr;

use super::data::Written;
use super::option_value::{flag, int};
use crate::errno::Errno;
use crate::program::Event;
use crate::socket::{Options, State};
use crate::world::World;
use linerate::shard::{Early, FastOpenListener};
use linerate::tcp::CookieKeys;

/// `TCP_FASTOPEN_KEY` and `TCP_FASTOPEN_NO_COOKIE`.
const KEY: i32 = 33;
pub(super) const NO_COOKIE: i32 = 34;

/// Bits of the `sysctl` `tcp_fastopen`.
const CLIENT: u64 = 1;
const SERVER: u64 = 2;
const CLIENT_WITHOUT_COOKIE: u64 = 4;
const SERVER_WITHOUT_COOKIE: u64 = 0x200;
const SERVER_WITHOUT_OPTION: u64 = 0x400;

/// Length of one key in bytes.
const KEY_LEN: usize = 16;

/// Returns true if a TCP option concerns Fast Open.
pub(super) const fn is_option(name: i32) -> bool {
    matches!(name, libc::TCP_FASTOPEN | libc::TCP_FASTOPEN_CONNECT | KEY | NO_COOKIE)
}

impl World {
    /// Returns the bits of `tcp_fastopen`; Linux's default enables the client.
    fn fast_open_bits(&self) -> u64 {
        self.sysctl("tcp_fastopen").unwrap_or(CLIENT)
    }

    pub(super) fn set_fast_open(&mut self, fd: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        let bits = self.fast_open_bits();
        let socket = self.sockets.of_mut(fd)?;
        let fresh = matches!(socket.state, State::Fresh | State::Closed);
        let early = fresh || matches!(socket.state, State::Listening { .. });
        let options = &mut socket.options.fast_open;
        match name {
            libc::TCP_FASTOPEN => {
                let queue = u32::try_from(int(value)?).ok().filter(|_| early);
                options.queue = Some(queue.ok_or(Errno::EINVAL)?);
            }
            libc::TCP_FASTOPEN_CONNECT => {
                let on = flag(value)?;
                if bits & CLIENT == 0 {
                    return Err(Errno::EOPNOTSUPP);
                }
                options.connects = if fresh { on } else { return Err(Errno::EINVAL) };
            }
            NO_COOKIE => {
                let on = flag(value)?;
                options.no_cookie = if early { on } else { return Err(Errno::EINVAL) };
            }
            _ if value.len() == KEY_LEN || value.len() == 2 * KEY_LEN => {
                options.keys = Some(value.to_vec());
            }
            _ => return Err(Errno::EINVAL),
        }
        let (options, state) = (socket.options.clone(), &socket.state);
        if let State::Listening { listener, .. } = *state {
            let fast_open = self.fast_open_of(&options, 1);
            self.stack().set_fast_open(listener, fast_open);
            self.install_keys(&options);
        }
        Ok(())
    }

    /// Returns the Fast Open configuration of a listener.
    pub(super) fn fast_open_of(&self, options: &Options, backlog: i32) -> Option<FastOpenListener> {
        let bits = self.fast_open_bits();
        let chosen = options.fast_open.queue.filter(|queue| *queue > 0);
        let default_queue =
            (bits & SERVER_WITHOUT_OPTION != 0).then(|| u32::try_from(backlog).unwrap_or(0).max(1));
        let pending = chosen.or(default_queue).filter(|_| bits & SERVER != 0)?;
        let without_cookie = bits & SERVER_WITHOUT_COOKIE != 0 || options.fast_open.no_cookie;
        Some(FastOpenListener { pending, without_cookie })
    }

    /// Installs the keys of a listener: its own, or the host's. The stack has one set, from the
    /// most recent listener.
    pub(super) fn install_keys(&mut self, options: &Options) {
        let own = options.fast_open.keys.clone();
        let host = || self.host_keys();
        let Some(keys) = own.or_else(host) else { return };
        let mut keys = keys.chunks_exact(KEY_LEN).filter_map(|key| key.try_into().ok());
        if let Some(first) = keys.next() {
            let keys = CookieKeys::given(first, keys.next());
            self.stack().set_fast_open_keys(keys);
        }
    }

    /// Returns the `sysctl` `tcp_fastopen_key`: one or two keys of four words each.
    fn host_keys(&self) -> Option<Vec<u8>> {
        let text = self.sysctl_text("tcp_fastopen_key")?;
        let words = text.split(['-', ',']).map(|word| u32::from_str_radix(word, 16));
        let words: Result<Vec<u32>, _> = words.collect();
        Some(words.ok()?.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    fn without_cookie(&self, options: &Options) -> bool {
        options.fast_open.no_cookie || self.fast_open_bits() & CLIENT_WITHOUT_COOKIE != 0
    }

    /// Returns the destination of a deferred connect, which starts with the first write.
    pub(crate) fn deferred(&mut self, fd: i32) -> Option<SocketAddr> {
        match self.sockets.of(fd).ok()?.state {
            State::Deferred(remote) => Some(remote),
            _ => None,
        }
    }

    /// Handles `connect` with `TCP_FASTOPEN_CONNECT`: succeeds at once if the SYN can carry data,
    /// which the first write supplies.
    pub(super) fn connect_later(&mut self, fd: i32, remote: SocketAddr) -> Result<(), Errno> {
        if self.room_of_syn(fd, remote)?.is_some() {
            self.sockets.of_mut(fd)?.state = State::Deferred(remote);
            return Ok(());
        }
        self.open_with(fd, remote, &[])?;
        Err(Errno::EINPROGRESS)
    }

    /// Returns the bytes of data that a SYN to the server may carry; `None` if unknown.
    fn room_of_syn(&mut self, fd: i32, remote: SocketAddr) -> Result<Option<usize>, Errno> {
        let open = self.prepare(fd, remote)?;
        let without_cookie = self.without_cookie(&self.sockets.of(fd)?.options);
        let early = Early { data: &[], without_cookie };
        Ok(self.with_io(|io| io.early_room(&open, &early)))
    }

    fn open_with(&mut self, fd: i32, remote: SocketAddr, data: &[u8]) -> Result<(), Errno> {
        let without_cookie = self.without_cookie(&self.sockets.of(fd)?.options);
        let socket = self.sockets.of_mut(fd)?;
        socket.close_error_reported = false;
        self.open(fd, remote, Some(&Early { data, without_cookie })).map(|_| ())
    }

    /// Handles `MSG_FASTOPEN`, or the first write after a deferred connect.
    ///
    /// # Errors
    /// `EINPROGRESS` if the open has started. The SYN's data is then consumed from `written`; a
    /// blocking call consumes all of it.
    pub(crate) fn open_early(
        &mut self,
        fd: i32,
        remote: Option<SocketAddr>,
        written: &mut Written,
        waits: bool,
    ) -> Result<(), Errno> {
        let Some(remote) = remote.filter(|_| self.fast_open_bits() & CLIENT != 0) else {
            return Err(Errno::EOPNOTSUPP);
        };
        let socket = self.sockets.of_mut(fd)?;
        match socket.state {
            State::Connecting(_) => return Err(Errno::EALREADY),
            State::Connected(_) if core::mem::take(&mut socket.connect_unreported) => return Ok(()),
            State::Connected(_) | State::Listening { .. } => return Err(Errno::EISCONN),
            State::Fresh | State::Closed | State::Deferred(_) => {
                socket.state = State::Fresh;
                if let Some(error) = socket.take_error() {
                    return Err(error);
                }
            }
        }
        let room = self.room_of_syn(fd, remote)?.unwrap_or(0);
        self.sockets.of_mut(fd)?.early = room.min(written.left()) as u32;
        // A blocking call queues all of its data.
        let data = written.take(if waits { usize::MAX } else { room });
        self.open_with(fd, remote, &data)?;
        Err(Errno::EINPROGRESS)
    }

    /// Records the fate of the data in the SYN, which the program may query after the connection.
    pub(crate) fn note_syn_data(&mut self, event: Event) {
        let Event::Connected { user } = event else { return };
        let socket = self.sockets.all().find(|socket| socket.number == user);
        let info = socket.and_then(|socket| self.inspect(socket));
        if let (Some(info), Some(socket)) = (info, self.sockets.by_number(user)) {
            socket.syn_data = info.syn_data;
        }
    }

    /// Returns the error of a closed connection that still has data to read; later calls get
    /// `EPIPE`.
    pub(super) fn error_of_end(&mut self, fd: i32) -> Option<Errno> {
        let reason = self.inspect(self.sockets.of(fd).ok()?)?.close_reason?;
        let socket = self.sockets.of_mut(fd).ok()?;
        let reported = core::mem::replace(&mut socket.close_error_reported, true);
        Errno::of_reason(reason).map(|error| if reported { Errno::EPIPE } else { error })
    }
}
