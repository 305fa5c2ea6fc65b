//! Requests and responses as hyper passes them: reads the body of a request, then answers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, EXPECT, HeaderValue, SERVER};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use linerate::net::now;

use super::site::Site;
use super::watch::{Answering, Watch};

/// Longest request body that is read, in bytes. No method that the server supports has a use for
/// one; reading it lets the connection go on.
const BODY_READ_MAX: u64 = 64 * 1024;

/// The service of one connection.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) site: Arc<Site>,
    pub(super) watch: Rc<Watch>,
}

impl Service<Request<Incoming>> for Exchange {
    type Response = Response<Payload>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let answering = self.watch.on_request(now());
        let (head, body) = request.into_parts();
        let status = self.site.status(&head);
        let site = Arc::clone(&self.site);
        // RFC 9110 §10.1.1: a client that expects a refusal need not send the body.
        let is_refused = head.headers.contains_key(EXPECT) && !status.is_success();
        let body = if is_refused { None } else { Some(body) };
        let draft = Draft { site, status, answering };
        Answer { draft: Some(draft), body, left: BODY_READ_MAX }
    }
}

/// A response that waits for the end of the request.
#[derive(Debug)]
struct Draft {
    site: Arc<Site>,
    status: StatusCode,
    answering: Answering,
}

/// The future of a response: reads and discards the body of the request first.
#[derive(Debug)]
pub(super) struct Answer {
    draft: Option<Draft>,
    body: Option<Incoming>,
    left: u64,
}

/// The end of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    TooLong,
    Broken,
}

impl Answer {
    fn poll_body(&mut self, cx: &mut task::Context<'_>) -> Poll<End> {
        let Some(body) = &mut self.body else { return Poll::Ready(End::Complete) };
        if body.size_hint().lower() > self.left {
            return Poll::Ready(End::TooLong);
        }
        while !body.is_end_stream() {
            match task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => break,
                Some(Err(_)) => return Poll::Ready(End::Broken),
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    let Some(left) = self.left.checked_sub(bytes) else {
                        return Poll::Ready(End::TooLong);
                    };
                    self.left = left;
                }
            }
        }
        Poll::Ready(End::Complete)
    }
}

impl Future for Answer {
    type Output = Result<Response<Payload>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let end = task::ready!(self.poll_body(cx));
        let Some(mut draft) = self.draft.take() else { return Poll::Pending };
        match end {
            End::Complete => {}
            End::TooLong => draft.status = StatusCode::PAYLOAD_TOO_LARGE,
            End::Broken => draft.status = StatusCode::BAD_REQUEST,
        }
        let mut response = draft.response();
        if end != End::Complete {
            // The start of the next request is unknown.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Poll::Ready(Ok(response))
    }
}

impl Draft {
    fn response(self) -> Response<Payload> {
        let content = &self.site.content;
        let (bytes, media_type) = match self.status {
            StatusCode::OK => (content.body.clone(), Some(content.media_type)),
            StatusCode::NO_CONTENT => (Bytes::new(), None),
            status => (Bytes::from(format!("{status}\r\n")), Some("text/plain")),
        };
        let mut response = Response::new(Payload { bytes, _answering: self.answering });
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(SERVER, HeaderValue::from_static("linerate"));
        if let Some(media_type) = media_type {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        // RFC 9110 §15.5.6: the origin server MUST generate an Allow header field in a 405.
        if matches!(self.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NO_CONTENT) {
            fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        }
        response
    }
}

/// The body of a response. Marks the response as under way while hyper has not taken it.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: Bytes,
    _answering: Answering,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
