//! The methods that streams and their halves have alike, as traits.

use core::future::Future;
use std::io::{self, IoSlice};

use crate::net::{
    OwnedReadHalf, OwnedWriteHalf, ReadHalf, Receive, TcpStream, Transmit, WriteHalf,
};

/// A receiving direction.
pub(super) trait Reads: Receive {
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>>;
    fn read_exact(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<()>>;
    fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> impl Future<Output = io::Result<usize>>;
    fn read_buf(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<usize>, Vec<u8>)>;
    fn peek(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>>;
    fn readable(&self) -> impl Future<Output = io::Result<()>>;
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Waits for data and takes at most `most` bytes of it in place.
    fn take_filled(&mut self, most: usize) -> impl Future<Output = io::Result<Vec<u8>>>;
}

/// A sending direction.
pub(super) trait Writes: Transmit {
    fn stream(&self) -> &TcpStream;
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>>;
    fn write_vectored(&mut self, slices: &[IoSlice<'_>])
    -> impl Future<Output = io::Result<usize>>;
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>>;
    fn write_buf(&mut self, buffer: Vec<u8>) -> impl Future<Output = (io::Result<()>, Vec<u8>)>;
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn finish(&mut self) -> io::Result<()>;
}

macro_rules! reads {
    ($half:ty) => {
        impl Reads for $half {
            async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                <$half>::read(self, buffer).await
            }
            async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
                <$half>::read_exact(self, buffer).await
            }
            async fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
                <$half>::read_to_end(self, buffer).await
            }
            async fn read_buf(&mut self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
                <$half>::read_buf(self, buffer).await
            }
            async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                <$half>::peek(self, buffer).await
            }
            async fn readable(&self) -> io::Result<()> {
                <$half>::readable(self).await
            }
            fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                <$half>::try_read(self, buffer)
            }
            async fn take_filled(&mut self, most: usize) -> io::Result<Vec<u8>> {
                let filled = <$half>::fill_buf(self).await?;
                let bytes = filled.with(|first, second| {
                    first.iter().chain(second).take(most).copied().collect::<Vec<u8>>()
                });
                self.consume(bytes.len());
                Ok(bytes)
            }
        }
    };
}

macro_rules! writes {
    ($half:ty) => {
        impl Writes for $half {
            fn stream(&self) -> &TcpStream {
                <$half>::stream(self)
            }
            async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                <$half>::write(self, bytes).await
            }
            async fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                <$half>::write_vectored(self, slices).await
            }
            async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
                <$half>::write_all(self, bytes).await
            }
            async fn write_buf(&mut self, buffer: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
                <$half>::write_buf(self, buffer).await
            }
            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                <$half>::try_write(self, bytes)
            }
            fn finish(&mut self) -> io::Result<()> {
                <$half>::shutdown(self)
            }
        }
    };
}

reads!(ReadHalf<'_>);
reads!(OwnedReadHalf);
writes!(WriteHalf<'_>);
writes!(OwnedWriteHalf);
