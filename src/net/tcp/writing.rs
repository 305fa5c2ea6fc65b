//! The writing methods, which streams and their halves have alike.

use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::io::{self, ErrorKind, IoSlice};

use super::split::{OwnedWriteHalf, WriteHalf};
use super::stream::TcpStream;

async fn write_all(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        written += poll_fn(|cx| stream.poll_write(cx, &bytes[written..])).await?;
    }
    Ok(())
}

macro_rules! writing {
    ($half:ident $(<$life:lifetime>)?) => {
        impl $half $(<$life>)? {
            /// Writes as much of `bytes` as the send buffer has room for; waits until it has some.
            /// Returns the number of bytes accepted.
            ///
            /// Cancel safe: a write that is dropped has written nothing.
            ///
            /// # Errors
            /// [`ErrorKind::BrokenPipe`] after the sending direction was closed and after the end
            /// of the connection; [`ErrorKind::ConnectionReset`], [`ErrorKind::TimedOut`].
            pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                poll_fn(|cx| self.stream().poll_write(cx, bytes)).await
            }

            /// Writes the slices one after the other, as far as there is room. What is accepted
            /// leaves in as few segments as it fits into.
            ///
            /// # Errors
            /// As [`write`](Self::write).
            pub async fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                poll_fn(|cx| self.stream().poll_write_vectored(cx, slices)).await
            }

            /// Writes all of `bytes`.
            ///
            /// # Errors
            /// As [`write`](Self::write). A part may have been written then.
            pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                write_all(self.stream(), bytes).await
            }

            /// Writes all of `buffer` and gives it back.
            ///
            /// # Errors
            /// As [`write_all`](Self::write_all).
            pub async fn write_buf(&mut self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
                let written = write_all(self.stream(), &buffer).await;
                (written, buffer)
            }

            /// Writes as much as there is room for, without waiting.
            ///
            /// # Errors
            /// [`ErrorKind::WouldBlock`] if there is none; otherwise as [`write`](Self::write).
            pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                match self.stream().poll_write(&mut Context::from_waker(Waker::noop()), bytes) {
                    Poll::Ready(result) => result,
                    Poll::Pending => Err(ErrorKind::WouldBlock.into()),
                }
            }
        }
    };
}

writing!(TcpStream);
writing!(WriteHalf<'_>);
writing!(OwnedWriteHalf);
