//! HTTP/1.1 server (RFC 9110, RFC 9112) with one resource: a generated body or a file.
//!
//! Supports GET and HEAD, keep-alive and pipelining, and skips request bodies. Errors: 400 for bad
//! syntax, 404 for another path, 405 for another method, 431 for a head over 8 KiB. Closes the
//! connection after an error that hides where the next request begins.

mod connection;
mod content;
mod request;

pub(super) use connection::Http;
pub(crate) use content::Content;
