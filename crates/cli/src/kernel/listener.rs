//! Listening sockets: one per address, port and thread, sharing the port by SO_REUSEPORT.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use linerate::shard::ListenerId;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use super::fast_open;
use crate::failure::Failure;
use crate::job::Listen;
use crate::options::StackOptions;

/// A bound and listening socket of one thread.
#[derive(Debug)]
pub(super) struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// Identifier for the service.
    pub id: ListenerId,
    /// True while connections may wait: set by an epoll edge, cleared when `accept4` would block.
    pub waiting: bool,
}

/// Binds each port on each address for one thread.
///
/// # Errors
/// Fails if a port is in use, or this process may not bind it.
pub(super) fn bind_all(
    options: &StackOptions,
    listeners: &[Listen],
) -> Result<Vec<Listener>, Failure> {
    let mut bound = Vec::new();
    for (index, listen) in listeners.iter().enumerate() {
        let id = ListenerId(u16::try_from(index).unwrap_or(u16::MAX));
        for address in addresses(options) {
            let at = SocketAddr::new(address, listen.port);
            let socket = match bind(options, at, listen.backlog) {
                Ok(socket) => socket,
                // A host without IPv6 serves only IPv4, unless the user gave an IPv6 address.
                Err(error)
                    if options.addresses.is_empty()
                        && error.raw_os_error() == Some(libc::EAFNOSUPPORT) =>
                {
                    continue;
                }
                Err(error) => return Err(failure(at, &error)),
            };
            bound.push(Listener {
                socket: TcpListener::from_std(socket.into()),
                id,
                waiting: false,
            });
        }
    }
    Ok(bound)
}

fn addresses(options: &StackOptions) -> Vec<IpAddr> {
    if options.addresses.is_empty() {
        return vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    }
    options.addresses.iter().map(|cidr| cidr.address).collect()
}

fn bind(options: &StackOptions, at: SocketAddr, backlog: u32) -> std::io::Result<Socket> {
    let socket =
        Socket::new(Domain::for_address(at), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit both.
    socket.set_tcp_nodelay(!options.nagle)?;
    if let Some(name) = options.congestion_control {
        socket.set_tcp_congestion(name.kernel_name().as_bytes())?;
    }
    socket.bind(&at.into())?;
    if options.fast_open {
        fast_open::listen(&socket)?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

fn failure(at: SocketAddr, error: &std::io::Error) -> Failure {
    let remedy = match error.raw_os_error() {
        Some(libc::EADDRINUSE) => {
            "stop the other program on that port (`ss -ltnp` shows it), or use another port"
        }
        Some(libc::EADDRNOTAVAIL) => {
            "add the address to this host with `ip addr add`, or give one that it has: --stack \
             kernel requires that"
        }
        Some(libc::EACCES | libc::EPERM) => "run as root, or use a port above 1023",
        Some(libc::ENOENT) => {
            "choose a congestion control from `sysctl \
             net.ipv4.tcp_available_congestion_control`, or load its module"
        }
        _ => "check the address and the port",
    };
    Failure::new(format!("cannot listen on {at}"), error, remedy)
}
