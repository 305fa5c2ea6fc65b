//! The response: `Hello, world!`, with a length and a date.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// The response as hyper writes it, with a date of its own. All responses have this size.
pub(super) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\
    date: Tue, 01 Dec 2026 12:00:00 GMT\r\n\r\nHello, world!";

/// The body of the response.
const BODY: &[u8] = b"Hello, world!";

/// Serves a connection with hyper until it closes. Both runtimes run this code.
pub(super) async fn serve<I: Read + Write + Unpin>(io: I) {
    let mut settings = http1::Builder::new();
    // Without a timer on both.
    settings.header_read_timeout(None);
    // A client that resets its connection has no use for an error.
    let _ = settings.serve_connection(io, service_fn(answer)).await;
}

fn answer(_: Request<Incoming>) -> Ready<Result<Response<Whole>, Infallible>> {
    ready(Ok(Response::new(Whole(Some(Bytes::from_static(BODY))))))
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}
