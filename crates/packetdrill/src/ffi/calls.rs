//! Table entries that move no data: they decode C arguments and encode results.

use std::ffi::{c_int, c_long, c_longlong, c_uint, c_ulong, c_void};
use std::sync::Arc;

use libc::{epoll_event, loff_t, nfds_t, pollfd, size_t, sockaddr, socklen_t, timeval, useconds_t};

use super::descriptor;
use super::memory::{copy_in, copy_out, read, read_all, write};
use super::stacks::{self, UserData, adapter};
use crate::adapter::{Adapter, WaitLimit};
use crate::address;
use crate::calls::Closing;
use crate::epoll::{Epoll, EpollChange};
use crate::errno::Errno;
use crate::socket::Entry;
use linerate::time::Duration;

/// Converts a result to C: the number, or -1 and `errno`.
pub(super) fn answer<T: From<i8>>(result: Result<T, Errno>) -> T {
    result.unwrap_or_else(|Errno(number)| {
        // SAFETY: the C library's location of this thread's `errno`.
        unsafe { *libc::__errno_location() = number };
        T::from(-1)
    })
}

fn done(result: Result<(), Errno>) -> c_int {
    answer(result.map(|()| 0))
}

pub(super) unsafe extern "C" fn free(userdata: UserData) {
    // SAFETY: as `adapter`; the table is not used again.
    let adapter: Arc<Adapter> = unsafe { Arc::from_raw(userdata.cast_const().cast()) };
    stacks::loaded().retain(|loaded| !Arc::ptr_eq(loaded, &adapter));
}

pub(super) unsafe extern "C" fn socket(
    userdata: UserData,
    domain: c_int,
    kind: c_int,
    protocol: c_int,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let ipv6 = match domain {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return answer(Err(Errno::EAFNOSUPPORT)),
    };
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    if kind & !flags != libc::SOCK_STREAM || ![0, libc::IPPROTO_TCP].contains(&protocol) {
        return answer(Err(Errno::EPROTONOSUPPORT));
    }
    answer(descriptor::reserve().inspect(|fd| {
        adapter.call(|world| world.socket(*fd, ipv6, kind & libc::SOCK_NONBLOCK != 0));
    }))
}

pub(super) unsafe extern "C" fn bind(
    userdata: UserData,
    fd: c_int,
    at: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let address = copy_in(at.cast(), len as usize).and_then(|bytes| address::decode(&bytes));
    done(address.and_then(|address| {
        let address = address.ok_or(Errno::EAFNOSUPPORT)?;
        adapter.call(|world| world.bind(fd, address))
    }))
}

pub(super) unsafe extern "C" fn listen(userdata: UserData, fd: c_int, backlog: c_int) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    done(adapter.call(|world| world.listen(fd, backlog)))
}

pub(super) unsafe extern "C" fn accept(
    userdata: UserData,
    fd: c_int,
    at: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let accepted = adapter
        .wait_limit(fd, 0, |socket| socket.options.receive_timeout)
        .and_then(|wait_limit| {
            adapter.wait(wait_limit, move |world| world.accept(fd)).unwrap_or(Err(Errno::EAGAIN))
        })
        .and_then(|(number, remote)| {
            let ipv6 = adapter.call(|world| world.sockets.of(fd).is_ok_and(|socket| socket.ipv6));
            write_address(at, len, &address::encode(remote, ipv6))?;
            let new = descriptor::reserve()?;
            adapter.call(|world| world.assign(new, number, false));
            Ok(new)
        });
    answer(accepted)
}

/// Writes an address to the caller, truncated to the available room, and its full length.
pub(super) fn write_address(
    at: *mut sockaddr,
    len: *mut socklen_t,
    bytes: &[u8],
) -> Result<(), Errno> {
    if at.is_null() || len.is_null() {
        return Ok(());
    }
    let room = read(len)? as usize;
    copy_out(at.cast(), &bytes[..bytes.len().min(room)])?;
    write(len, bytes.len() as socklen_t)
}

pub(super) unsafe extern "C" fn connect(
    userdata: UserData,
    fd: c_int,
    at: *const sockaddr,
    len: socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let address = copy_in(at.cast(), len as usize).and_then(|bytes| address::decode(&bytes));
    done(address.and_then(|address| match address {
        None => adapter.call(|world| world.disconnect(fd)),
        Some(address) => adapter.connect(fd, address),
    }))
}

pub(super) unsafe extern "C" fn fcntl(
    userdata: UserData,
    fd: c_int,
    command: c_int,
    argument: c_long,
) -> c_int {
    // SAFETY: packetdrill passes the table's `userdata`. It calls through a variadic type; with the
    // calling conventions of its platforms, one more integer is passed the same way as here.
    let adapter = unsafe { adapter(userdata) };
    answer(adapter.call(|world| {
        let socket = world.sockets.of_mut(fd)?;
        let non_blocking = if socket.non_blocking { libc::O_NONBLOCK } else { 0 };
        match command {
            libc::F_GETFL => Ok(libc::O_RDWR | non_blocking),
            libc::F_SETFL => {
                socket.non_blocking = argument as c_int & libc::O_NONBLOCK != 0;
                Ok(0)
            }
            libc::F_GETFD | libc::F_SETFD => Ok(0),
            _ => Err(Errno::EINVAL),
        }
    }))
}

pub(super) unsafe extern "C" fn ioctl(
    userdata: UserData,
    fd: c_int,
    request: c_ulong,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: packetdrill passes the table's `userdata`; for the variadic type see `fcntl`.
    let adapter = unsafe { adapter(userdata) };
    let value = adapter.call(|world| world.query(fd, request));
    done(value.and_then(|value| copy_out(argument, &value.to_ne_bytes())))
}

pub(super) unsafe extern "C" fn close(userdata: UserData, fd: c_int) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let closing = adapter.call(|world| world.close(fd));
    if closing.is_ok() {
        descriptor::release(fd);
    }
    done(closing.map(|closing| {
        if let Closing::Lingers(number, span) = closing {
            let over = move |world: &mut crate::world::World| {
                world.sockets.by_number(number).is_none().then_some(())
            };
            let _ = adapter.wait(WaitLimit::For(span), over);
        }
    }))
}

pub(super) unsafe extern "C" fn shutdown(userdata: UserData, fd: c_int, how: c_int) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    done(adapter.call(|world| world.shutdown(fd, how)))
}

pub(super) unsafe extern "C" fn getsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    getsockopt_of(adapter, fd, (level, name), (value, len))
}

pub(super) fn getsockopt_of(
    adapter: &Adapter,
    fd: c_int,
    key: (c_int, c_int),
    (value, len): (*mut c_void, *mut socklen_t),
) -> c_int {
    done(read(len).and_then(|room| {
        let room = room as usize;
        let bytes = adapter.call(|world| world.option(fd, key, room))?;
        let reported = &bytes[..bytes.len().min(room)];
        copy_out(value, reported)?;
        write(len, reported.len() as socklen_t)
    }))
}

pub(super) unsafe extern "C" fn setsockopt(
    userdata: UserData,
    fd: c_int,
    level: c_int,
    name: c_int,
    value: *const c_void,
    len: socklen_t,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let value = copy_in(value, len as usize);
    done(value.and_then(|value| adapter.call(|world| world.set_option(fd, (level, name), &value))))
}

/// Returns the maximum wait of `poll` and `epoll_wait`.
fn wait_limit(timeout_ms: c_int) -> WaitLimit {
    match timeout_ms {
        0 => WaitLimit::NonBlocking,
        ms => u64::try_from(ms)
            .map_or(WaitLimit::Unlimited, |ms| WaitLimit::For(Duration::from_millis(ms))),
    }
}

pub(super) unsafe extern "C" fn poll(
    userdata: UserData,
    at: *mut pollfd,
    count: nfds_t,
    timeout_ms: c_int,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    answer(read_all(at, count as usize).and_then(|mut requested| {
        let events: Vec<_> = requested.iter().map(|one| (one.fd, one.events)).collect();
        let attempt = move |world: &mut crate::world::World| world.poll(&events);
        let answers = adapter.wait(wait_limit(timeout_ms), attempt).unwrap_or_default();
        for (n, one) in requested.iter_mut().enumerate() {
            one.revents = answers.get(n).copied().unwrap_or(0);
            write(at.wrapping_add(n), *one)?;
        }
        Ok(answers.iter().filter(|events| **events != 0).count() as c_int)
    }))
}

pub(super) unsafe extern "C" fn netdev_send(
    userdata: UserData,
    packet: *const c_void,
    len: size_t,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let packet = copy_in(packet, len);
    done(packet.and_then(|packet| adapter.call(|world| world.inject(&packet))))
}

/// Returns the next packet, or an empty one if there will be none, so the script fails instead of
/// hanging.
pub(super) unsafe extern "C" fn netdev_receive(
    userdata: UserData,
    at: *mut c_void,
    len: *mut size_t,
    time_us: *mut c_longlong,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let (sent_at, packet) =
        adapter.call(|world| world.next_packet()).unwrap_or_else(|| (adapter.now(), Vec::new()));
    // SAFETY: packetdrill's own variables; the buffer has `*len` bytes.
    unsafe {
        let count = packet.len().min(*len);
        *len = count;
        *time_us = sent_at.as_micros() as c_longlong;
        done(copy_out(at, &packet[..count]))
    }
}

pub(super) unsafe extern "C" fn usleep(userdata: UserData, micros: useconds_t) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    adapter.call(|world| world.advance(Duration::from_micros(micros.into())));
    adapter.pause();
    0
}

pub(super) unsafe extern "C" fn gettimeofday(
    userdata: UserData,
    at: *mut timeval,
    _: *mut c_void,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let micros = adapter.read_clock().as_micros();
    let now = timeval {
        tv_sec: (micros / 1_000_000) as libc::time_t,
        tv_usec: (micros % 1_000_000) as libc::suseconds_t,
    };
    // SAFETY: packetdrill's own variable; a copy by the kernel would be too slow here.
    unsafe { at.write(now) };
    0
}

pub(super) unsafe extern "C" fn epoll_create(userdata: UserData, size: c_int) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    if size <= 0 {
        return answer(Err(Errno::EINVAL));
    }
    answer(descriptor::reserve().inspect(|fd| {
        adapter.call(|world| world.sockets.assign(*fd, Entry::Epoll(Epoll::default())));
    }))
}

pub(super) unsafe extern "C" fn epoll_ctl(
    userdata: UserData,
    epoll: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let change = match operation {
        libc::EPOLL_CTL_DEL => Ok(EpollChange::Delete),
        libc::EPOLL_CTL_ADD => {
            read(event).map(|e| EpollChange::Add { events: e.events, data: e.u64 })
        }
        libc::EPOLL_CTL_MOD => {
            read(event).map(|e| EpollChange::Modify { events: e.events, data: e.u64 })
        }
        _ => Err(Errno::EINVAL),
    };
    done(change.and_then(|change| adapter.call(|world| world.epoll_ctl(epoll, fd, change))))
}

pub(super) unsafe extern "C" fn epoll_wait(
    userdata: UserData,
    epoll: c_int,
    at: *mut epoll_event,
    most: c_int,
    timeout_ms: c_int,
) -> c_int {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let Some(most) = usize::try_from(most).ok().filter(|most| *most > 0) else {
        return answer(Err(Errno::EINVAL));
    };
    let attempt = move |world: &mut crate::world::World| world.epoll_wait(epoll, most);
    let reported = adapter.wait(wait_limit(timeout_ms), attempt).unwrap_or(Ok(Vec::new()));
    answer(reported.and_then(|reported| {
        for (n, (events, data)) in reported.iter().enumerate() {
            write(at.wrapping_add(n), epoll_event { events: *events, u64: *data })?;
        }
        Ok(reported.len() as c_int)
    }))
}

/// Creates a kernel pipe, which involves no TCP.
pub(super) unsafe extern "C" fn pipe(_: UserData, at: *mut c_int) -> c_int {
    // SAFETY: the system call itself, with packetdrill's own array.
    unsafe { libc::pipe(at) }
}

/// Fails: the kernel cannot splice a socket that it does not know.
pub(super) unsafe extern "C" fn splice(
    _: UserData,
    _: c_int,
    _: *mut loff_t,
    _: c_int,
    _: *mut loff_t,
    _: size_t,
    _: c_uint,
) -> c_int {
    answer(Err(Errno::EINVAL))
}
