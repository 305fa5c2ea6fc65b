//! The answer to each request: method, host and path decide the status.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use linerate::Duration;

use super::content::Content;
use super::target;

/// The time that clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// From the first byte of a head, or from the start of the connection, to the end of the head.
    pub header: Duration,
    /// Between two requests, for a request body, and for a peer that does not read.
    pub idle: Duration,
}

/// The content of a server, and the hosts that it serves.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The resource.
    pub content: Arc<Content>,
    /// Names that clients may use; any if empty.
    pub hosts: Vec<String>,
    /// The time that clients may take.
    pub timeouts: Timeouts,
}

/// The methods of RFC 9110 §9 and RFC 5789. Another one is answered with 501.
const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];

impl Site {
    /// Returns the status of the response to a request: 200, 204 for OPTIONS, or a refusal.
    pub(super) fn status(&self, request: &Parts) -> StatusCode {
        match self.evaluate(request) {
            Ok(status) | Err(status) => status,
        }
    }

    fn evaluate(&self, request: &Parts) -> Result<StatusCode, StatusCode> {
        let host = target::host(request)?;
        let is_ours = |name: &String| name.eq_ignore_ascii_case(host);
        if !self.hosts.is_empty() && !self.hosts.iter().any(is_ours) {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        if !KNOWN.contains(&request.method) {
            return Err(StatusCode::NOT_IMPLEMENTED);
        }
        let path = target::path(request)?;
        let is_here = self.content.is_at(&path);
        match request.method {
            // The target of CONNECT is an authority, and `*` concerns the server as a whole.
            Method::CONNECT => Err(StatusCode::METHOD_NOT_ALLOWED),
            Method::OPTIONS if is_here || path == b"*" => Ok(StatusCode::NO_CONTENT),
            _ if !is_here => Err(StatusCode::NOT_FOUND),
            Method::GET | Method::HEAD => Ok(StatusCode::OK),
            _ => Err(StatusCode::METHOD_NOT_ALLOWED),
        }
    }
}
