//! The connections of the HTTP service. Reads ahead, answers in order, and holds at most one
//! response per connection in memory.

use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use linerate::shard::{CloseReason, ConnId, Io, ListenerId, Service};
use linerate::time::Instant;

use super::content::Content;
use super::request::{self, Request, Status};
use crate::civil::Civil;

/// Bytes per read. Together with one unparsed head this bounds the memory of a connection.
const READ: usize = 16 * 1024;

/// Longest body that is written together with its head.
const JOINED_MAX: usize = 16 * 1024;

/// The state of one connection.
#[derive(Debug, Default)]
struct Exchange {
    /// Received bytes that are not parsed yet.
    input: Vec<u8>,
    /// Remaining bytes of the request body to skip.
    skip: u64,
    /// Head of the response, and a small body. Sent up to `output_from`.
    output: Vec<u8>,
    output_from: usize,
    /// Range of the content that remains to be sent after `output`.
    body_from: usize,
    body_to: usize,
    /// True if the connection closes after the current response.
    is_last: bool,
    peer_closed: bool,
}

/// One worker's HTTP service.
pub(crate) struct Http {
    content: Arc<Content>,
    exchanges: Vec<Exchange>,
    free: Vec<usize>,
    buffer: Box<[u8]>,
    date: String,
    date_until: Instant,
}

/// Result of one step of a connection.
#[must_use]
#[derive(PartialEq, Eq)]
enum Step {
    Again,
    Wait,
}

impl Http {
    /// Creates a service for `content`.
    pub(crate) fn new(content: Arc<Content>) -> Self {
        Self {
            content,
            exchanges: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; READ].into_boxed_slice(),
            date: String::new(),
            date_until: Instant::ZERO,
        }
    }

    fn pump(&mut self, io: &mut dyn Io, conn: ConnId) {
        // The user data is the slab index plus one: a stale handle returns 0.
        let Some(index) = (io.user_data(conn) as usize).checked_sub(1) else { return };
        while self.step(io, conn, index) == Step::Again {}
    }

    fn step(&mut self, io: &mut dyn Io, conn: ConnId, index: usize) -> Step {
        let exchange = &mut self.exchanges[index];
        if exchange.send(io, conn, &self.content.body) == Step::Wait {
            return Step::Wait;
        }
        if exchange.is_last {
            io.close(conn);
            while io.read(conn, &mut self.buffer) > 0 {}
            return Step::Wait;
        }
        exchange.skip_body();
        if let Some(request) = exchange.next_request(&self.content) {
            exchange.input.drain(..request.head_length);
            exchange.skip = request.body_length;
            exchange.is_last = !request.keep_alive;
            self.respond(io.now(), index, &request);
            return Step::Again;
        }
        let read = io.read(conn, &mut self.buffer);
        exchange.input.extend_from_slice(&self.buffer[..read]);
        if read == 0 && exchange.peer_closed {
            io.close(conn);
        }
        if read == 0 { Step::Wait } else { Step::Again }
    }

    fn respond(&mut self, now: Instant, index: usize, request: &Request) {
        self.refresh_date(now);
        let status = request.status.line();
        let (length, media_type) = match request.status {
            Status::Ok => (self.content.body.len(), self.content.media_type),
            _ => (status.len() + 2, "text/plain"),
        };
        let output = &mut self.exchanges[index].output;
        // Writing to a vector cannot fail.
        let _ = write!(
            output,
            "HTTP/1.1 {status}\r\nServer: linerate\r\nDate: {}\r\nContent-Type: {media_type}\r\n\
             Content-Length: {length}\r\n",
            self.date
        );
        if request.status == Status::MethodNotAllowed {
            output.extend_from_slice(b"Allow: GET, HEAD\r\n");
        }
        output.extend_from_slice(match (request.keep_alive, request.is_old) {
            (false, _) => b"Connection: close\r\n\r\n",
            (true, true) => b"Connection: keep-alive\r\n\r\n",
            (true, false) => b"\r\n",
        });
        if request.is_head {
            return;
        }
        match request.status {
            Status::Ok if length <= JOINED_MAX => output.extend_from_slice(&self.content.body),
            Status::Ok => {
                let exchange = &mut self.exchanges[index];
                (exchange.body_from, exchange.body_to) = (0, length);
            }
            _ => {
                let _ = write!(output, "{status}\r\n");
            }
        }
    }

    /// Updates the Date header (RFC 9110 §6.6.1). It has a resolution of one second.
    fn refresh_date(&mut self, now: Instant) {
        if now >= self.date_until {
            self.date = Civil::of(SystemTime::now()).http_date();
            self.date_until = now + linerate::time::Duration::from_millis(500);
        }
    }
}

impl Exchange {
    /// Sends the rest of the response. Keeps the memory of `output` for the next response.
    fn send(&mut self, io: &mut dyn Io, conn: ConnId, body: &[u8]) -> Step {
        if self.output_from < self.output.len() {
            self.output_from += io.write(conn, &self.output[self.output_from..]);
            if self.output_from < self.output.len() {
                return Step::Wait;
            }
            self.output.clear();
            self.output_from = 0;
        }
        if self.body_from < self.body_to {
            self.body_from += io.write(conn, &body[self.body_from..self.body_to]);
            if self.body_from < self.body_to {
                return Step::Wait;
            }
        }
        Step::Again
    }

    fn skip_body(&mut self) {
        let here = usize::try_from(self.skip).unwrap_or(usize::MAX).min(self.input.len());
        self.input.drain(..here);
        self.skip -= here as u64;
    }

    fn next_request(&self, content: &Content) -> Option<Request> {
        if self.skip > 0 || self.input.is_empty() {
            return None;
        }
        request::parse(&self.input, content)
    }

    /// Clears the slot for another connection. Keeps the memory of its buffers.
    fn reset(&mut self) {
        let (mut input, mut output) =
            (std::mem::take(&mut self.input), std::mem::take(&mut self.output));
        input.clear();
        output.clear();
        *self = Self { input, output, ..Self::default() };
    }
}

impl Service for Http {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.exchanges.push(Exchange::default());
            self.exchanges.len() - 1
        });
        io.set_user_data(conn, index as u64 + 1);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.pump(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.pump(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        if let Some(index) = (io.user_data(conn) as usize).checked_sub(1) {
            self.exchanges[index].peer_closed = true;
            self.pump(io, conn);
        }
    }

    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, user: u64, _: CloseReason) {
        if let Some(index) = (user as usize).checked_sub(1) {
            self.exchanges[index].reset();
            self.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::script::Script;
    use super::*;

    fn server(bytes: usize) -> Script<Http> {
        let mut t = Script::of(Http::new(Arc::new(Content::of_size(bytes))));
        t.accepts();
        t
    }

    fn sent(t: &Script<Http>) -> String {
        String::from_utf8_lossy(t.sent()).into_owned()
    }

    #[test]
    fn pipelined_requests_are_answered_in_order() {
        let mut t = server(4);
        t.gets(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP");
        t.gets(b"/1.1\r\nHost: a\r\n\r\n");
        let responses: Vec<String> = sent(&t)
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|response| {
                let body = response.split("\r\n\r\n").nth(1).unwrap_or_default();
                format!("{} {body}", &response[..3])
            })
            .collect();
        assert_eq!(responses, ["200 line", "200 ", "404 404 Not Found\r\n"]);
        assert!(!t.is_closed());
    }

    #[test]
    fn connection_close_takes_effect_after_the_response() {
        let mut t = server(4);
        t.gets(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n");
        assert!(sent(&t).contains("Connection: close\r\n") && sent(&t).ends_with("line"));
        assert!(t.is_closed());
        assert_eq!((sent(&t).matches("200 OK").count(), t.unread()), (1, 0));
    }

    #[test]
    fn a_request_body_is_skipped() {
        let mut t = server(4);
        t.gets(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
        t.gets(b"deGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(sent(&t).matches("HTTP/1.1 ").count(), 2);
        assert!(sent(&t).contains("Allow: GET, HEAD") && sent(&t).ends_with("line"));
    }

    #[test]
    fn a_large_body_waits_for_room_and_arrives_complete() {
        let mut t = Script::of(Http::new(Arc::new(Content::of_size(100_000)))).room(1000);
        t.accepts();
        t.gets(b"GET / HTTP/1.0\r\n\r\n");
        while !t.is_closed() {
            t.makes_room(30_000);
        }
        let text = sent(&t);
        let body = text
            .split("\r\n\r\n")
            .nth(1)
            .map_or(0, |_| text.len() - text.find("\r\n\r\n").map_or(0, |end| end + 4));
        assert_eq!(body, 100_000);
    }

    #[test]
    fn an_endless_head_is_rejected_and_the_connection_closed() {
        let mut t = server(4);
        t.gets(b"GET / HTTP/1.1\r\n");
        for _ in 0..20 {
            t.gets(format!("A: {}\r\n", "a".repeat(1000)).as_bytes());
        }
        assert!(sent(&t).starts_with("HTTP/1.1 431 "));
        assert!(t.is_closed());
    }

    #[test]
    fn a_slot_is_reused_without_leftovers() {
        let mut t = server(4);
        t.gets(b"GET / HT");
        t.ends();
        t.accepts();
        t.gets(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(sent(&t).starts_with("HTTP/1.1 200 OK"));
        assert_eq!(t.service().exchanges.len(), 1);
    }
}
