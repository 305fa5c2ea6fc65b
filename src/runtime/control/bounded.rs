//! A client's stream with deadlines: a client that stalls or dawdles loses its connection.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, send};

/// The time that a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To send its request.
    pub(super) request: Duration,
    /// To read a part of the response. Shorter than a person's patience with the next client.
    pub(super) stall: Duration,
    /// To read all of the response. A listing of a million connections takes seconds.
    pub(super) response: Duration,
}

impl Patience {
    /// The patience of a stack.
    pub(super) const DEFAULT: Self = Self {
        request: Duration::from_secs(1),
        stall: Duration::from_secs(1),
        response: Duration::from_secs(60),
    };
}

/// A stream that fails with `TimedOut` once its deadline has passed.
pub(super) struct BoundedStream<'a> {
    stream: &'a UnixStream,
    until: Instant,
    stall: Duration,
}

impl<'a> BoundedStream<'a> {
    /// Reads a request from the stream.
    pub(super) fn request(stream: &'a UnixStream, patience: Patience) -> Self {
        let until = Instant::now() + patience.request;
        Self { stream, until, stall: patience.request }
    }

    /// Writes a response to the stream.
    pub(super) fn response(stream: &'a UnixStream, patience: Patience) -> Self {
        Self { stream, until: Instant::now() + patience.response, stall: patience.stall }
    }

    /// Returns the longest time that the next call may block.
    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now()).min(self.stall);
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for BoundedStream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        let mut stream = self.stream;
        stream.read(into)
    }
}

impl Write for BoundedStream<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        // Without the flag, a lost client would end a program that does not ignore SIGPIPE.
        Ok(send(self.stream.as_raw_fd(), from, MsgFlags::MSG_NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_client_that_sends_byte_by_byte_reaches_the_deadline_of_its_request() {
        let (server, client) = UnixStream::pair().unwrap();
        let patience = Patience { request: SHORT, stall: LONG, response: LONG };
        let mut request = BoundedStream::request(&server, patience);
        let error = loop {
            (&client).write_all(b"x").unwrap();
            if let Err(error) = request.read(&mut [0]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_client_that_never_reads_stalls_the_response_only_for_a_while() {
        let (server, _client) = UnixStream::pair().unwrap();
        let patience = Patience { request: LONG, stall: SHORT, response: LONG };
        let mut response = BoundedStream::response(&server, patience);
        let error = loop {
            if let Err(error) = response.write(&[b'x'; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_client_that_reads_byte_by_byte_reaches_the_deadline_of_its_response() {
        let (server, client) = UnixStream::pair().unwrap();
        let patience = Patience { request: LONG, stall: LONG, response: SHORT };
        let mut response = BoundedStream::response(&server, patience);
        let error = loop {
            if let Err(error) = response.write(b"x") {
                break error;
            }
            (&client).read_exact(&mut [0]).unwrap();
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
