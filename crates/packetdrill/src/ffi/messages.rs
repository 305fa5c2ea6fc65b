//! Table entries that move data: all reads share one implementation, and so do all writes.

use std::ffi::{c_int, c_void};

use libc::{iovec, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use super::calls::{answer, write_address};
use super::memory::{copy_in, copy_out, read as read_struct, read_all, write as write_struct};
use super::stacks::{UserData, adapter};
use crate::adapter::Adapter;
use crate::address;
use crate::calls::{Received, Written};
use crate::errno::Errno;

/// Maximum segments of one message (`UIO_MAXIOV`).
const PIECES_MAX: usize = 1024;

fn pieces(at: *const iovec, count: usize) -> Result<Vec<iovec>, Errno> {
    if count > PIECES_MAX { Err(Errno::EMSGSIZE) } else { read_all(at, count) }
}

fn receive(adapter: &Adapter, fd: c_int, most: usize, flags: c_int) -> Result<Received, Errno> {
    let wait_limit = adapter.wait_limit(fd, flags, |socket| socket.options.receive_timeout)?;
    adapter.wait(wait_limit, move |world| world.read(fd, most, flags)).unwrap_or(Err(Errno::EAGAIN))
}

/// Reads into several memory segments in order.
fn receive_into(
    adapter: &Adapter,
    fd: c_int,
    pieces: &[iovec],
    flags: c_int,
) -> Result<Received, Errno> {
    let most = pieces.iter().fold(0, |sum: usize, piece| sum.saturating_add(piece.iov_len));
    let received = receive(adapter, fd, most, flags)?;
    if flags & libc::MSG_TRUNC != 0 {
        return Ok(received);
    }
    let scattered = scatter(&received.bytes, pieces);
    if scattered.is_err() && flags & libc::MSG_PEEK == 0 {
        adapter.call(|world| world.unread(fd, received.bytes.clone()));
    }
    scattered.map(|()| received)
}

fn scatter(mut rest: &[u8], pieces: &[iovec]) -> Result<(), Errno> {
    for piece in pieces {
        let (here, later) = rest.split_at(rest.len().min(piece.iov_len));
        copy_out(piece.iov_base, here)?;
        rest = later;
    }
    Ok(())
}

fn length(result: Result<Received, Errno>) -> ssize_t {
    answer(result.map(|received| received.bytes.len() as ssize_t))
}

pub(super) unsafe extern "C" fn read(
    userdata: UserData,
    fd: c_int,
    at: *mut c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the same call, without flags.
    unsafe { recv(userdata, fd, at, len, 0) }
}

pub(super) unsafe extern "C" fn readv(
    userdata: UserData,
    fd: c_int,
    at: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let pieces = usize::try_from(count).map_err(|_| Errno::EINVAL).and_then(|n| pieces(at, n));
    length(pieces.and_then(|pieces| receive_into(adapter, fd, &pieces, 0)))
}

pub(super) unsafe extern "C" fn recv(
    userdata: UserData,
    fd: c_int,
    at: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    length(receive_into(adapter, fd, &[iovec { iov_base: at, iov_len: len }], flags))
}

pub(super) unsafe extern "C" fn recvfrom(
    userdata: UserData,
    fd: c_int,
    at: *mut c_void,
    len: size_t,
    flags: c_int,
    from: *mut sockaddr,
    from_len: *mut socklen_t,
) -> ssize_t {
    // SAFETY: the same call; a stream reports no address.
    let received = unsafe { recv(userdata, fd, at, len, flags) };
    if received >= 0 && write_address(from, from_len, &[]).is_err() {
        return answer(Err(Errno::EFAULT));
    }
    received
}

pub(super) unsafe extern "C" fn recvmsg(
    userdata: UserData,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let received = read_struct(message).and_then(|mut header| {
        let pieces = pieces(header.msg_iov, header.msg_iovlen)?;
        let received = receive_into(adapter, fd, &pieces, flags)?;
        header.msg_flags = 0;
        let control = received.left.map(control_message).unwrap_or_default();
        if control.len() <= header.msg_controllen {
            copy_out(header.msg_control, &control)?;
            header.msg_controllen = control.len();
        } else {
            header.msg_flags |= libc::MSG_CTRUNC;
            header.msg_controllen = 0;
        }
        write_struct(message, header)?;
        Ok(received)
    });
    length(received)
}

/// Encodes `TCP_CM_INQ`: a `struct cmsghdr` and its number.
fn control_message(left: i32) -> Vec<u8> {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    let mut bytes = (HEADER + size_of::<i32>()).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&libc::IPPROTO_TCP.to_ne_bytes());
    bytes.extend_from_slice(&libc::TCP_CM_INQ.to_ne_bytes());
    bytes.extend_from_slice(&left.to_ne_bytes());
    bytes.resize(HEADER + size_of::<usize>(), 0);
    bytes
}

fn send_all(adapter: &Adapter, fd: c_int, written: Written) -> Result<ssize_t, Errno> {
    if let Some(remote) = adapter.call(|world| world.deferred(fd)) {
        return adapter.write_early(fd, Some(remote), written).map(|taken| taken as ssize_t);
    }
    let wait_limit =
        adapter.wait_limit(fd, written.flags(), |socket| socket.options.send_timeout)?;
    adapter.write(fd, wait_limit, written).map(|taken| taken as ssize_t)
}

pub(super) unsafe extern "C" fn write(
    userdata: UserData,
    fd: c_int,
    at: *const c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the same call, without flags.
    unsafe { send(userdata, fd, at, len, 0) }
}

fn gather(pieces: &[iovec]) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    for piece in pieces {
        bytes.extend(copy_in(piece.iov_base, piece.iov_len)?);
    }
    Ok(bytes)
}

pub(super) unsafe extern "C" fn writev(
    userdata: UserData,
    fd: c_int,
    at: *const iovec,
    count: c_int,
) -> ssize_t {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let pieces = usize::try_from(count).map_err(|_| Errno::EINVAL).and_then(|n| pieces(at, n));
    let bytes = pieces.and_then(|pieces| gather(&pieces));
    answer(bytes.and_then(|bytes| send_all(adapter, fd, Written::new(bytes, 0))))
}

pub(super) unsafe extern "C" fn send(
    userdata: UserData,
    fd: c_int,
    at: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let bytes = copy_in(at, len);
    answer(bytes.and_then(|bytes| send_all(adapter, fd, Written::new(bytes, flags))))
}

/// Sends to an address: with `MSG_FASTOPEN` an open with data (RFC 7413). Otherwise ignores the
/// address, since a stream is connected.
fn send_to(
    adapter: &Adapter,
    fd: c_int,
    (bytes, flags): (Vec<u8>, c_int),
    (at, len): (*const sockaddr, usize),
) -> Result<ssize_t, Errno> {
    if flags & libc::MSG_FASTOPEN == 0 {
        return send_all(adapter, fd, Written::new(bytes, flags));
    }
    let address = copy_in(at.cast(), len).and_then(|bytes| address::decode(&bytes))?;
    let written = Written::new(bytes, flags & !libc::MSG_FASTOPEN);
    adapter.write_early(fd, address, written).map(|taken| taken as ssize_t)
}

pub(super) unsafe extern "C" fn sendto(
    userdata: UserData,
    fd: c_int,
    at: *const c_void,
    len: size_t,
    flags: c_int,
    to: *const sockaddr,
    to_len: socklen_t,
) -> ssize_t {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let bytes = copy_in(at, len);
    answer(bytes.and_then(|bytes| send_to(adapter, fd, (bytes, flags), (to, to_len as usize))))
}

pub(super) unsafe extern "C" fn sendmsg(
    userdata: UserData,
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    // SAFETY: packetdrill passes the `userdata` of the table.
    let adapter = unsafe { adapter(userdata) };
    let sent = read_struct(message).and_then(|header| {
        let bytes = gather(&pieces(header.msg_iov, header.msg_iovlen)?)?;
        let to = (header.msg_name.cast_const().cast(), header.msg_namelen as usize);
        send_to(adapter, fd, (bytes, flags), to)
    });
    answer(sent)
}
