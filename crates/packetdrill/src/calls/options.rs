//! `getsockopt`, `setsockopt`, `fcntl` and `ioctl`: socket options and queries.

use super::data::unsent;
use super::fast_open;
use super::option_value::{flag, int, int_or_byte, span};
use crate::errno::Errno;
use crate::host;
use crate::info;
use crate::socket::{Linger, Options, Socket, State};
use crate::world::World;
use linerate::shard::SocketOption;
use linerate::tcp::KeepAlive;
use linerate::time::Duration;

/// Options without immediate effect, or read when needed: `getsockopt` returns the stored value.
const KEPT: &[(i32, i32)] = &[
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
    (libc::IPPROTO_IP, libc::IP_FREEBIND),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    (libc::IPPROTO_IP, libc::IP_RECVERR),
    (libc::SOL_SOCKET, libc::SO_MAX_PACING_RATE),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_ZEROCOPY),
    (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE),
    (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_MAXSEG),
    (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
    (libc::IPPROTO_TCP, libc::TCP_SYNCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::SOL_SOCKET, libc::SO_MARK),
    (libc::SOL_SOCKET, libc::SO_INCOMING_CPU),
    (libc::SOL_SOCKET, libc::SO_BUSY_POLL),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
    (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (libc::IPPROTO_TCP, libc::TCP_QUICKACK),
    (libc::IPPROTO_TCP, libc::TCP_LINGER2),
    (libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP),
    (libc::IPPROTO_TCP, libc::TCP_SAVE_SYN),
];

/// Factor of `SO_SNDBUF`: the kernel doubles the value for its own overhead.
const BOOKKEEPING: u32 = 2;

/// Minimum of `SO_SNDBUF` in bytes.
const SEND_BUFFER_MIN: u32 = 4608;

impl World {
    pub(crate) fn set_option(
        &mut self,
        fd: i32,
        (level, name): (i32, i32),
        value: &[u8],
    ) -> Result<(), Errno> {
        let number = self.sockets.of(fd)?.number;
        let options = &mut self.sockets.of_mut(fd)?.options;
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_LINGER) => {
                let (on, seconds) = (int(value)?, int(value.get(4..).unwrap_or(&[]))?);
                let seconds = u16::try_from(seconds.max(0)).unwrap_or(u16::MAX);
                options.linger = Linger { on: on != 0, seconds };
            }
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO) => options.receive_timeout = span(value)?,
            (libc::SOL_SOCKET, libc::SO_SNDTIMEO) => options.send_timeout = span(value)?,
            (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_SNDBUFFORCE) => {
                let wanted = u32::try_from(int(value)?).unwrap_or(0).saturating_mul(BOOKKEEPING);
                options.send_buffer = Some(wanted.max(SEND_BUFFER_MIN));
            }
            (libc::SOL_SOCKET, libc::SO_RCVLOWAT) => {
                options.receive_low_water = usize::try_from(int(value)?).unwrap_or(usize::MAX);
            }
            (libc::IPPROTO_TCP, libc::TCP_NODELAY) => {
                options.no_delay = int(value)? != 0;
                // TCP_NODELAY flushes corked data once.
                self.uncork(number, true);
                let on = !self.sockets.of(fd)?.options.no_delay;
                self.set_options(number, [SocketOption::Nagle(on)]);
                self.uncork(number, false);
            }
            (libc::IPPROTO_TCP, libc::TCP_CORK) => {
                (options.cork, options.corked) = (int(value)? != 0, true)
            }
            (libc::IPPROTO_TCP, libc::TCP_INQ) => options.reports_inq = flag(value)?,
            (libc::IPPROTO_TCP, name) if fast_open::is_option(name) => {
                return self.set_fast_open(fd, name, value);
            }
            (libc::IPPROTO_TCP, libc::TCP_CONGESTION) => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or(&[]);
                let name =
                    core::str::from_utf8(name).ok().filter(|name| host::algorithm(name).is_some());
                options.congestion = Some(name.ok_or(Errno::ENOENT)?.to_owned());
            }
            (libc::IPPROTO_IP, libc::IP_TOS) if value.len() < 4 => {
                let tos = value.first().ok_or(Errno::EINVAL)?;
                options.kept.insert((level, name), i32::from(*tos));
            }
            (_, name) if KEPT.contains(&(level, name)) => {
                let value = checked((level, name), int_or_byte(value)?)?;
                options.kept.insert((level, name), value);
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        // A listener's next SYN-ACK uses the new options.
        let socket = self.sockets.of(fd)?;
        if matches!(socket.state, State::Listening { .. }) {
            let options = socket.options.clone();
            self.apply_host_settings(&options);
        }
        let wanted = connection_options(&self.sockets.of(fd)?.options);
        self.set_options(number, wanted);
        Ok(())
    }

    pub(crate) fn option(
        &mut self,
        fd: i32,
        (level, name): (i32, i32),
        room: usize,
    ) -> Result<Vec<u8>, Errno> {
        if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) {
            let error = self.sockets.of_mut(fd)?.take_error();
            return Ok(error.map_or(0, |error| error.0).to_ne_bytes().to_vec());
        }
        let socket = self.sockets.of(fd)?;
        if (level, name) == (libc::IPPROTO_TCP, libc::TCP_INFO) {
            return Ok(info::encode(self, socket, room));
        }
        if (level, name) == (libc::IPPROTO_TCP, libc::TCP_CONGESTION) {
            let chosen = socket.options.congestion.as_deref();
            let name = chosen.unwrap_or_else(|| host::name_of(self.settings().congestion));
            let mut text = name.as_bytes().to_vec();
            text.resize(16, 0);
            return Ok(text);
        }
        // The state of Vegas, DCTCP or BBR. The kernel returns nothing for other algorithms.
        if (level, name) == (libc::IPPROTO_TCP, libc::TCP_CC_INFO) {
            return Ok(Vec::new());
        }
        if (level, name) == (libc::SOL_SOCKET, libc::SO_MEMINFO) {
            return Ok(self.memory_of(socket));
        }
        let number = self.number(socket, (level, name)).ok_or(Errno::ENOPROTOOPT)?;
        Ok(number.to_ne_bytes().to_vec())
    }

    /// Returns an option with an integer value.
    fn number(&self, socket: &Socket, key: (i32, i32)) -> Option<i32> {
        let options = &socket.options;
        let default_send = self.settings().send_buffer.min(i32::MAX as u32);
        Some(match key {
            (libc::SOL_SOCKET, libc::SO_TYPE) => libc::SOCK_STREAM,
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => libc::IPPROTO_TCP,
            (libc::SOL_SOCKET, libc::SO_DOMAIN) if socket.ipv6 => libc::AF_INET6,
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => libc::AF_INET,
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => {
                i32::from(matches!(socket.state, State::Listening { .. }))
            }
            (libc::SOL_SOCKET, libc::SO_SNDBUF) => {
                options.send_buffer.unwrap_or(default_send) as i32
            }
            (libc::IPPROTO_TCP, libc::TCP_NODELAY) => i32::from(options.no_delay),
            (libc::IPPROTO_TCP, libc::TCP_CORK) => i32::from(options.cork),
            (libc::IPPROTO_TCP, libc::TCP_INQ) => i32::from(options.reports_inq),
            (libc::IPPROTO_TCP, libc::TCP_FASTOPEN) => options.fast_open.queue.unwrap_or(0) as i32,
            (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT) => {
                i32::from(options.fast_open.connects)
            }
            (libc::IPPROTO_TCP, fast_open::NO_COOKIE) => i32::from(options.fast_open.no_cookie),
            (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => {
                let chosen = options.kept.get(&key).copied();
                let used = self.inspect(socket).map(|info| i32::from(info.mss));
                used.or(chosen).unwrap_or(536)
            }
            (libc::SOL_SOCKET, libc::SO_RCVBUF) => {
                let chosen = options.kept.get(&key).map(|bytes| bytes.saturating_mul(2));
                chosen.unwrap_or_else(|| self.settings().receive_buffer as i32)
            }
            key if KEPT.contains(&key) => options.kept.get(&key).copied().unwrap_or(0),
            _ => return None,
        })
    }

    /// Lifts the cork of a no-delay socket, or restores it.
    fn uncork(&mut self, number: u64, off: bool) {
        let Some(socket) = self.sockets.by_number(number) else { return };
        if socket.options.no_delay && socket.options.cork {
            self.set_options(number, [SocketOption::Cork(!off)]);
        }
    }

    /// Applies the socket's options to a new connection.
    pub(crate) fn apply_options(&mut self, number: u64) {
        let Some(socket) = self.sockets.by_number(number) else { return };
        let mut wanted = connection_options(&socket.options);
        wanted.push(SocketOption::Nagle(!socket.options.no_delay));
        self.set_options(number, wanted);
    }

    fn set_options(&mut self, number: u64, wanted: impl IntoIterator<Item = SocketOption>) {
        let conn = self.sockets.by_number(number).and_then(|socket| socket.conn());
        if let Some(conn) = conn {
            self.with_io(|io| wanted.into_iter().for_each(|choice| io.set_option(conn, choice)));
        }
    }

    /// Returns `SK_MEMINFO_…`: memory used for receiving and sending, and the limits.
    fn memory_of(&self, socket: &Socket) -> Vec<u8> {
        let info = self.inspect(socket);
        let (received, queued) =
            info.map_or((0, 0), |info| (info.receive_queued, info.send_queued));
        let settings = self.settings();
        let words =
            [received, settings.receive_buffer, queued, settings.send_buffer, 0, queued, 0, 0, 0];
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// Implements an `ioctl` that returns one number.
    pub(crate) fn query(&self, fd: i32, request: u64) -> Result<i32, Errno> {
        let socket = self.sockets.of(fd)?;
        let info = self.inspect(socket);
        let count = match request {
            libc::FIONREAD => {
                if matches!(socket.state, State::Listening { .. }) {
                    return Err(Errno::EINVAL);
                }
                self.readable(socket)
            }
            libc::TIOCOUTQ => info.map_or(0, |info| info.send_queued as usize),
            SIOCOUTQNSD => info.map_or(0, |info| unsent(&info) as usize),
            _ => return Err(Errno::ENOTTY),
        };
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}

/// `ioctl` for the number of bytes written but never sent.
const SIOCOUTQNSD: u64 = 0x894b;

/// Returns the connection options that follow from the socket options.
fn connection_options(options: &Options) -> Vec<SocketOption> {
    let tcp = |name: i32| options.kept.get(&(libc::IPPROTO_TCP, name)).copied();
    let seconds = |name: i32| tcp(name).and_then(|value| u64::try_from(value).ok());
    let mut wanted = Vec::new();
    if options.corked {
        wanted.push(SocketOption::Cork(options.cork));
    }
    if let Some(algorithm) = options.congestion.as_deref().and_then(host::algorithm) {
        wanted.push(SocketOption::CongestionControl(algorithm));
    }
    let default = KeepAlive::default();
    let times = KeepAlive {
        idle: seconds(libc::TCP_KEEPIDLE).map_or(default.idle, Duration::from_secs),
        interval: seconds(libc::TCP_KEEPINTVL).map_or(default.interval, Duration::from_secs),
        probes: tcp(libc::TCP_KEEPCNT).map_or(default.probes, |n| n.clamp(0, 255) as u8),
    };
    match options.kept.get(&(libc::SOL_SOCKET, libc::SO_KEEPALIVE)) {
        Some(0) => wanted.push(SocketOption::KeepAlive(false)),
        Some(_) => wanted.push(SocketOption::KeepAliveTimes(times)),
        None => {}
    }
    if let Some(timeout_ms) = seconds(libc::TCP_USER_TIMEOUT) {
        let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms));
        wanted.push(SocketOption::UserTimeout(timeout));
    }
    if let Some(most) = options.window_max() {
        wanted.push(SocketOption::WindowMax(Some(most)));
    }
    if let Some(retries) = tcp(libc::TCP_SYNCNT) {
        wanted.push(SocketOption::SynRetries(retries.clamp(0, 255) as u8));
    }
    if let Some(on) = tcp(libc::TCP_QUICKACK) {
        wanted.push(SocketOption::QuickAck(on != 0));
    }
    let class = [(libc::IPPROTO_IP, libc::IP_TOS), (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)];
    for key in class {
        if let Some(class) = options.kept.get(&key) {
            wanted.push(SocketOption::DiffServ((class >> 2 & 0x3f) as u8));
        }
    }
    wanted
}

/// Validates the value of an option.
fn checked(key: (i32, i32), value: i32) -> Result<i32, Errno> {
    let ok = match key {
        (libc::IPPROTO_TCP, libc::TCP_MAXSEG) => (88..=32_767).contains(&value),
        (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE | libc::TCP_KEEPINTVL) => {
            (1..=32_767).contains(&value)
        }
        (libc::IPPROTO_TCP, libc::TCP_KEEPCNT | libc::TCP_SYNCNT) => (1..=127).contains(&value),
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT) => value >= 0,
        _ => true,
    };
    if ok { Ok(value) } else { Err(Errno::EINVAL) }
}
