//! The two directions of a stream, for two tasks or two parts of one.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::stream::TcpStream;

/// The receiving direction of a borrowed stream, from [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The sending direction of a borrowed stream, from [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// The receiving direction of a stream, from [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    /// `None` once the halves are together again.
    stream: Option<Rc<TcpStream>>,
}

/// The sending direction of a stream, from [`TcpStream::into_split`]. Dropping it closes the
/// direction: FIN follows the data written so far.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    /// `None` once the halves are together again.
    stream: Option<Rc<TcpStream>>,
}

impl TcpStream {
    /// Splits the stream into its two directions, for the duration of the borrow.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream into its two directions, which may move to two tasks. The connection
    /// closes when both are dropped.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Rc::new(self);
        (
            OwnedReadHalf { stream: Some(Rc::clone(&stream)) },
            OwnedWriteHalf { stream: Some(stream) },
        )
    }

    pub(in crate::net) const fn stream(&self) -> &Self {
        self
    }
}

impl ReadHalf<'_> {
    pub(in crate::net) const fn stream(&self) -> &TcpStream {
        self.0
    }
}

impl WriteHalf<'_> {
    pub(in crate::net) const fn stream(&self) -> &TcpStream {
        self.0
    }

    /// Closes the direction: FIN follows the data written so far.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after the end of the connection.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.0.close_write()
    }
}

impl OwnedReadHalf {
    pub(in crate::net) fn stream(&self) -> &TcpStream {
        self.stream.as_deref().expect("a half has its stream until it is given away")
    }

    /// Puts the halves of one stream together again.
    ///
    /// # Errors
    /// Returns both if they are not of the same stream.
    pub fn reunite(
        mut self,
        mut write: OwnedWriteHalf,
    ) -> Result<TcpStream, (Self, OwnedWriteHalf)> {
        if !core::ptr::eq(self.stream(), write.stream()) {
            return Err((self, write));
        }
        drop(write.stream.take());
        let stream = self.stream.take().and_then(Rc::into_inner);
        Ok(stream.expect("a stream has two halves, and the other is gone"))
    }

    /// Returns the address and port of the peer.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after the end of the connection.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream().peer_addr()
    }
}

impl OwnedWriteHalf {
    pub(in crate::net) fn stream(&self) -> &TcpStream {
        self.stream.as_deref().expect("a half has its stream until it is given away")
    }

    /// Closes the direction: FIN follows the data written so far.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) after the end of the connection.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.stream().close_write()
    }
}

impl Drop for OwnedReadHalf {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.abort_in_panic();
        }
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            stream.abort_in_panic();
            // An error means that the connection is over.
            let _ = stream.close_write();
        }
    }
}

macro_rules! as_stream {
    ($($half:ty),*) => {
        $(
            impl AsRef<TcpStream> for $half {
                /// Returns the stream, for its options and addresses.
                fn as_ref(&self) -> &TcpStream {
                    self.stream()
                }
            }
        )*
    };
}

as_stream!(ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf);
