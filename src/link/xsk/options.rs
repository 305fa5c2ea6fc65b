//! Socket options of AF_XDP that xsk-rs does not wrap, and the kick system calls.

use std::io;
use std::mem;
use std::os::fd::RawFd;
use std::ptr;

use super::BusyPoll;
use super::kick::KickResult;

/// asm-generic/socket.h; the same on every architecture with XDP drivers.
const SO_SNDBUFFORCE: libc::c_int = 32;
const SO_BUSY_POLL: libc::c_int = 46;
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;

/// linux/if_xdp.h, since 6.17.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// Returns true if the socket is bound in zero-copy mode.
pub(super) fn is_zero_copy(fd: RawFd) -> io::Result<bool> {
    let mut options = libc::xdp_options { flags: 0 };
    let mut len = mem::size_of::<libc::xdp_options>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, all of `options`.
    let answer = unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_XDP,
            libc::XDP_OPTIONS,
            (&raw mut options).cast(),
            &raw mut len,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
}

/// Sets close-on-exec. libxdp opens the socket without SOCK_CLOEXEC, and a child process that
/// inherits it would keep the queue busy for as long as it runs.
pub(super) fn close_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: no memory is passed; the descriptor is the link's own.
    match unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allows one kick to send `budget` descriptors instead of 32. Older kernels lack the option.
pub(super) fn set_tx_budget(fd: RawFd, budget: u32) -> io::Result<()> {
    set(fd, libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, budget)
}

/// Allows `bytes` of copied frames in flight, above the system's limit if permitted.
pub(super) fn raise_send_buffer(fd: RawFd, bytes: u32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, SO_SNDBUFFORCE, bytes)
        .or_else(|_| set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes))
}

/// Enables preferred busy polling.
pub(super) fn prefer_busy_poll(fd: RawFd, wanted: BusyPoll) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, SO_PREFER_BUSY_POLL, 1)?;
    set(fd, libc::SOL_SOCKET, SO_BUSY_POLL, wanted.micros)?;
    set(fd, libc::SOL_SOCKET, SO_BUSY_POLL_BUDGET, wanted.budget)
}

fn set(fd: RawFd, level: libc::c_int, option: libc::c_int, value: u32) -> io::Result<()> {
    let len = mem::size_of::<u32>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes, all of `value`.
    match unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Kicks the kernel to send the descriptors on the TX ring.
#[inline]
pub(super) fn kick_tx(fd: RawFd) -> KickResult {
    // SAFETY: an empty message without an address: no memory is passed.
    let sent = unsafe { libc::sendto(fd, ptr::null(), 0, libc::MSG_DONTWAIT, ptr::null(), 0) };
    if sent >= 0 { KickResult::Done } else { kick_error() }
}

/// Kicks the kernel to receive: to read the fill ring again, or to poll the device.
#[inline]
pub(super) fn kick_rx(fd: RawFd) {
    // SAFETY: an empty message without an address: no memory is passed. The result is ignored:
    // received packets appear on the RX ring.
    let _ = unsafe {
        libc::recvfrom(fd, ptr::null_mut(), 0, libc::MSG_DONTWAIT, ptr::null_mut(), ptr::null_mut())
    };
}

#[cold]
fn kick_error() -> KickResult {
    match io::Error::last_os_error().raw_os_error().unwrap_or(0) {
        // EAGAIN: the budget of the call is exhausted. ENOBUFS: the send buffer is full. EBUSY: the
        // queueing discipline was full, perhaps also the driver's ring.
        libc::EAGAIN | libc::ENOBUFS | libc::EBUSY | libc::EINTR => KickResult::Again,
        libc::ENETDOWN | libc::ENXIO | libc::ENODEV => KickResult::Down,
        _ => KickResult::Refused,
    }
}
