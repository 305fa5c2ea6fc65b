//! Active opens.

use core::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::stream::TcpStream;
use crate::net::address::ToAddress;
use crate::net::error;
use crate::net::executor::current::current;
use crate::shard::{ConnectOptions, SocketOption};

/// An active open with options that take effect before the SYN leaves.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> std::io::Result<()> {
/// use linerate::net::TcpSocket;
/// use linerate::SocketOption;
///
/// let socket = TcpSocket::new().bind([10, 0, 0, 2]).option(SocketOption::SynRetries(2));
/// let stream = socket.connect("10.0.0.1:80").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TcpSocket {
    local: Option<IpAddr>,
    options: Vec<SocketOption>,
}

impl TcpSocket {
    /// Creates a socket without options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens from this local address. Without it, the local addresses of the target's family are
    /// used in turn.
    pub fn bind(mut self, local: impl Into<IpAddr>) -> Self {
        self.local = Some(local.into());
        self
    }

    /// Adds an option.
    pub fn option(mut self, option: SocketOption) -> Self {
        self.options.push(option);
        self
    }

    /// Opens a connection and waits for the end of the handshake.
    ///
    /// Dropping the future gives up the open.
    ///
    /// # Errors
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused),
    /// [`TimedOut`](io::ErrorKind::TimedOut), [`HostUnreachable`](io::ErrorKind::HostUnreachable),
    /// [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable),
    /// [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) without a local address or port, and
    /// [`NotConnected`](io::ErrorKind::NotConnected) outside the tasks of a worker.
    pub async fn connect(&self, target: impl ToAddress) -> io::Result<TcpStream> {
        let stream = self.open(target.to_address()?)?;
        poll_fn(|cx| stream.poll_connected(cx)).await?;
        Ok(stream)
    }

    /// Sends the SYN in this turn.
    fn open(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        let core = current().ok_or_else(error::no_stack)?;
        let open = ConnectOptions { remote, local: self.local, user: 0 };
        let opened = core.with_io(|io| {
            let conn = io.connect(&open)?;
            self.options.iter().for_each(|option| io.set_option(conn, *option));
            Ok(conn)
        });
        let conn = opened.ok_or_else(error::no_stack)?.map_err(error::of_connect)?;
        Ok(TcpStream::adopt(&core, conn))
    }
}

impl TcpStream {
    /// Opens a connection and waits for the end of the handshake. [`TcpSocket`] has options for it.
    ///
    /// # Errors
    /// As [`TcpSocket::connect`].
    pub async fn connect(target: impl ToAddress) -> io::Result<Self> {
        TcpSocket::new().connect(target).await
    }
}
