//! `futures_io::{AsyncRead, AsyncWrite}`.
//!
//! There is no `AsyncBufRead`: the slice that it returns could be kept while the stack runs and
//! moves the data. Wrap a stream in `futures::io::BufReader`, or use
//! [`fill_buf`](crate::net::TcpStream::fill_buf).

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{IoSlice, Result};

use ::futures_io::{AsyncRead, AsyncWrite};

use crate::net::remote::RemoteStream;
use crate::net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};

macro_rules! read {
    ($($half:ty),*) => { $(
        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<Result<usize>> {
                self.stream().poll_read(cx, buffer)
            }
        }
    )* };
}

macro_rules! write {
    ($($half:ty),*) => { $(
        impl AsyncWrite for $half {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<Result<usize>> {
                self.stream().poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<Result<usize>> {
                self.stream().poll_write_vectored(cx, slices)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(self.stream().close_write())
            }
        }
    )* };
}

impl AsyncRead for RemoteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize>> {
        Self::poll_read(&self, cx, buffer)
    }
}

impl AsyncWrite for RemoteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Self::poll_write(&self, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Self::poll_write_vectored(&self, cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

read!(TcpStream, ReadHalf<'_>, OwnedReadHalf);
write!(TcpStream, WriteHalf<'_>, OwnedWriteHalf);
