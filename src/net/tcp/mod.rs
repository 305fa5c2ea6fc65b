//! TCP connections and listeners of a worker.
//!
//! `stream` has the polls; reading and writing methods, halves, listeners and opens are built on
//! them.

mod copy;
mod listener;
mod reading;
mod socket;
mod split;
mod stream;
mod writing;

pub use copy::{Receive, Transmit, copy};
pub use listener::{Accept, TcpListener};
pub use reading::Filled;
pub use socket::TcpSocket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
pub use stream::TcpStream;
