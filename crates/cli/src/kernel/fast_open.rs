//! TCP Fast Open (RFC 7413) over kernel sockets: the two socket options.

use std::io;

use linerate::shard::FastOpenListener;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;

// The macros name each other, and `libc`, without their paths.
use nix::{setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// TCP_FASTOPEN: how many handshakes may be pending.
    TcpFastOpen,
    SetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_FASTOPEN,
    libc::c_int
);

/// A listener takes data from SYNs, as many handshakes at once as linerate's own.
///
/// # Errors
/// As `setsockopt`.
pub fn listen(socket: &Socket) -> io::Result<()> {
    let pending = FastOpenListener::default().pending;
    Ok(setsockopt(socket, TcpFastOpen, &i32::try_from(pending).unwrap_or(i32::MAX))?)
}

/// The SYN waits for the first write, if there is a cookie of the server's.
///
/// # Errors
/// When `net.ipv4.tcp_fastopen` forbids it.
pub fn connect(socket: &Socket) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::TcpFastOpenConnect, &true)?)
}
