//! The socket options for low-water marks and the hop limit.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::setsockopt;
use socket2::SockRef;

// The macros refer to each other and to `libc` without a path.
use nix::{setsockopt_impl, sockopt_impl};

sockopt_impl!(
    /// SO_RCVLOWAT: readable bytes from which the socket is reported as readable.
    ReceiveLowWater,
    SetOnly,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    libc::c_int
);

/// Sets the readable bytes from which epoll reports the socket.
///
/// # Errors
/// Returns the error of `setsockopt`.
pub(super) fn set_receive_low_water(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    Ok(setsockopt(socket, ReceiveLowWater, &i32::try_from(bytes).unwrap_or(i32::MAX))?)
}

/// Sets the unsent bytes below which epoll reports the socket as writable. The kernel takes 0 for
/// its default.
///
/// # Errors
/// Returns the error of `setsockopt`.
pub(super) fn set_not_sent_low_water(socket: &impl AsFd, bytes: Option<u32>) -> io::Result<()> {
    SockRef::from(socket).set_tcp_notsent_lowat(bytes.map_or(0, |bytes| bytes.max(1)))
}

/// Sets the TTL or hop limit of outgoing packets.
///
/// # Errors
/// Returns the error of `setsockopt`.
pub(super) fn set_hop_limit(socket: &impl AsFd, hops: Option<u8>) -> io::Result<()> {
    // The kernel takes -1 for its default.
    let hops = hops.map_or(u32::MAX, |hops| u32::from(hops.max(1)));
    let socket = SockRef::from(socket);
    // An IPv6 socket accepts the option of IPv4 too, without effect.
    socket.set_unicast_hops_v6(hops).or_else(|_| socket.set_ttl_v4(hops))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_kernel_takes_every_bound() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("open");
            let socket = SockRef::from(&stream);
            set_hop_limit(&stream, Some(9)).expect("a hop limit");
            let hops = || socket.unicast_hops_v6().or_else(|_| socket.ttl_v4()).expect("hops");
            assert_eq!(hops(), 9);
            set_hop_limit(&stream, None).expect("the default");
            assert!(hops() > 9);
            set_not_sent_low_water(&stream, Some(5000)).expect("a mark");
            assert_eq!(socket.tcp_notsent_lowat().expect("a mark"), 5000);
            set_not_sent_low_water(&stream, None).expect("no mark");
            set_receive_low_water(&stream, 3000).expect("a mark");
        }
    }
}
