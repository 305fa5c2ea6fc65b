//! The socket options for TCP Fast Open (RFC 7413).

use std::io;

use linerate::shard::FastOpenListener;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;

// The macros refer to each other and to `libc` without a path.
use nix::{setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// TCP_FASTOPEN: maximum number of pending handshakes.
    TcpFastOpen,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_FASTOPEN,
    libc::c_int
);

/// Lets a listener accept data in SYNs, with the same limit of pending handshakes as linerate's
/// listeners.
///
/// # Errors
/// Returns the error of `setsockopt`.
pub(super) fn listen(socket: &Socket) -> io::Result<()> {
    let pending = FastOpenListener::default().pending;
    Ok(setsockopt(socket, TcpFastOpen, &i32::try_from(pending).unwrap_or(i32::MAX))?)
}

/// Delays the SYN until the first write if the kernel has a cookie from the server.
///
/// # Errors
/// Fails if `net.ipv4.tcp_fastopen` does not permit it.
pub(super) fn connect(socket: &Socket) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::TcpFastOpenConnect, &true)?)
}
