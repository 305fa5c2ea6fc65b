//! The reading methods, which streams and their halves have alike.

use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::io::{self, ErrorKind};

use super::split::{OwnedReadHalf, ReadHalf};
use super::stream::{TcpStream, copy_parts};

/// Received data in place, from [`TcpStream::fill_buf`].
///
/// The data lives in the stack and may move when the stack runs, so it is shown to a closure rather
/// than as a reference that could be kept across an `await`. The closure cannot use the stack:
/// calls of streams inside it fail.
#[derive(Debug)]
pub struct Filled<'a> {
    stream: &'a TcpStream,
}

impl Filled<'_> {
    /// Calls `call` with the data, in two parts: the second follows the first, and is empty unless
    /// the ring wraps.
    pub fn with<R>(&self, call: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        let mut call = Some(call);
        let shown = self.stream.with_io(|io, conn| {
            let [first, second] = io.peek(conn);
            call.take().map(|call| call(first, second))
        });
        match (shown.flatten(), call) {
            (Some(result), _) => result,
            (None, Some(call)) => call(&[], &[]),
            (None, None) => unreachable!("a call that was taken has returned a result"),
        }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.with(|first, second| first.len() + second.len())
    }

    /// Returns true at the end of the stream.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Waits for data or the end of the stream. The future is one pointer: idle tasks hold it.
fn readable(stream: &TcpStream) -> impl Future<Output = io::Result<()>> {
    poll_fn(move |cx| stream.poll_received(cx, |_| (0, ())).map_ok(|_| ()))
}

async fn read_exact(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match poll_fn(|cx| stream.poll_read(cx, &mut buffer[filled..])).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
    }
    Ok(())
}

async fn read_to_end(stream: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let before = buffer.len();
    while poll_fn(|cx| stream.poll_taken(cx, usize::MAX, |parts| append(parts, usize::MAX, buffer)))
        .await?
        .is_some()
    {}
    Ok(buffer.len() - before)
}

async fn read_buf(stream: &TcpStream, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
    let room = buffer.capacity() - buffer.len();
    if room == 0 {
        return (Ok(0), buffer);
    }
    let read = poll_fn(|cx| stream.poll_taken(cx, room, |parts| append(parts, room, &mut buffer)));
    let read = read.await.map(|n| n.unwrap_or(0));
    (read, buffer)
}

/// Appends up to `room` bytes of the parts, and returns their number twice.
fn append(parts: [&[u8]; 2], room: usize, buffer: &mut Vec<u8>) -> (usize, usize) {
    let before = buffer.len();
    for part in parts {
        let left = room - (buffer.len() - before);
        buffer.extend_from_slice(&part[..part.len().min(left)]);
    }
    let n = buffer.len() - before;
    (n, n)
}

macro_rules! reading {
    ($half:ident $(<$life:lifetime>)?) => {
        impl $half $(<$life>)? {
            /// Reads what has arrived, at most `buffer`; waits until something has. Returns the
            /// number of bytes, 0 at the end of the stream.
            ///
            /// Cancel safe: a read that is dropped has taken nothing.
            ///
            /// # Errors
            /// [`ErrorKind::ConnectionReset`] and [`ErrorKind::TimedOut`], as kernel sockets give
            /// them.
            pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                poll_fn(|cx| self.stream().poll_read(cx, buffer)).await
            }

            /// Fills `buffer`.
            ///
            /// # Errors
            /// [`ErrorKind::UnexpectedEof`] if the stream ends first; otherwise as
            /// [`read`](Self::read).
            pub async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
                read_exact(self.stream(), buffer).await
            }

            /// Appends everything up to the end of the stream to `buffer`. Returns the number of
            /// bytes.
            ///
            /// # Errors
            /// As [`read`](Self::read); what was read stays in `buffer`.
            pub async fn read_to_end(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
                read_to_end(self.stream(), buffer).await
            }

            /// Reads into the spare capacity of `buffer`, at its end, and gives the buffer back.
            /// Returns 0 at the end of the stream, and for a buffer without spare capacity. No
            /// memory is initialized first.
            ///
            /// # Errors
            /// As [`read`](Self::read).
            pub async fn read_buf(&mut self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
                read_buf(self.stream(), buffer).await
            }

            /// Waits for data and shows it in place, without a copy. Empty at the end of the
            /// stream. Drop what was used with [`consume`](Self::consume).
            ///
            /// # Errors
            /// As [`read`](Self::read).
            ///
            /// # Examples
            ///
            /// Drops one line, if it is complete:
            ///
            /// ```no_run
            /// # async fn run(mut stream: linerate::net::TcpStream) -> std::io::Result<()> {
            /// let filled = stream.fill_buf().await?;
            /// let end = filled.with(|first, second| {
            ///     first.iter().chain(second).position(|byte| *byte == b'\n')
            /// });
            /// if let Some(end) = end {
            ///     stream.consume(end + 1);
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub async fn fill_buf(&mut self) -> io::Result<Filled<'_>> {
                readable(self.stream()).await?;
                Ok(Filled { stream: self.stream() })
            }

            /// Drops `n` bytes of received data, at most what there is.
            pub fn consume(&mut self, n: usize) {
                self.stream().with_io(|io, conn| io.consume(conn, n));
            }

            /// Copies received data into `buffer` without taking it; waits until some has arrived.
            /// Returns the number of bytes, 0 at the end of the stream.
            ///
            /// # Errors
            /// As [`read`](Self::read).
            pub async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let stream = self.stream();
                let peek = |cx: &mut Context<'_>| {
                    stream.poll_received(cx, |parts| (0, copy_parts(parts, buffer)))
                };
                Ok(poll_fn(peek).await?.unwrap_or(0))
            }

            /// Waits until a read would return at once.
            ///
            /// # Errors
            /// As [`read`](Self::read).
            pub async fn readable(&self) -> io::Result<()> {
                readable(self.stream()).await
            }

            /// Reads what has arrived, without waiting.
            ///
            /// # Errors
            /// [`ErrorKind::WouldBlock`] if nothing has; otherwise as [`read`](Self::read).
            pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.stream().poll_read(&mut Context::from_waker(Waker::noop()), buffer) {
                    Poll::Ready(result) => result,
                    Poll::Pending => Err(ErrorKind::WouldBlock.into()),
                }
            }
        }
    };
}

reading!(TcpStream);
reading!(ReadHalf<'_>);
reading!(OwnedReadHalf);

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<'a, F>(_: impl Fn(&'a mut TcpStream) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_task_holds_four_words_while_it_waits_for_data() {
        assert!(size_of_future(TcpStream::fill_buf) <= 32);
    }
}
