//! `tokio::io::{AsyncRead, AsyncWrite}`: the traits alone, without a runtime of tokio.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{IoSlice, Result};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::remote::RemoteStream;
use crate::net::tcp::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};

fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<Result<()>> {
    if buffer.remaining() == 0 {
        return Poll::Ready(Ok(()));
    }
    let read = stream.poll_taken(cx, buffer.remaining(), |parts| {
        let before = buffer.remaining();
        for part in parts {
            buffer.put_slice(&part[..part.len().min(buffer.remaining())]);
        }
        (before - buffer.remaining(), ())
    });
    read.map_ok(|_| ())
}

macro_rules! read {
    ($($half:ty),*) => { $(
        impl AsyncRead for $half {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<Result<()>> {
                poll_read(self.stream(), cx, buffer)
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

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
                Poll::Ready(self.stream().close_write())
            }
        }
    )* };
}

impl AsyncRead for RemoteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let read = Self::poll_read(&self, cx, buffer.initialize_unfilled());
        read.map_ok(|n| buffer.advance(n))
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

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

read!(TcpStream, ReadHalf<'_>, OwnedReadHalf);
write!(TcpStream, WriteHalf<'_>, OwnedWriteHalf);
