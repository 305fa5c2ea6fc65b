//! A stream as hyper reads and writes it, which reports to the [`Watch`] of its connection.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use linerate::net::{HyperIo, TcpStream, now};

use super::watch::Watch;

/// A watched stream.
#[derive(Debug)]
pub(super) struct Watched {
    io: HyperIo,
    watch: Rc<Watch>,
}

impl Watched {
    /// Watches a stream.
    pub(super) fn new(stream: TcpStream, watch: Rc<Watch>) -> Self {
        Self { io: HyperIo::new(stream), watch }
    }

    /// Returns the stream.
    pub(super) fn into_stream(self) -> TcpStream {
        self.io.into_inner()
    }

    fn written(&self, poll: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if poll.is_ready() {
            self.watch.on_written(now());
        }
        poll
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<()>> {
        let poll = Pin::new(&mut self.io).poll_read(cx, buffer);
        if poll.is_ready() {
            self.watch.on_read(now());
        }
        poll
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls this whenever it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.watch.on_flushed(now());
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
