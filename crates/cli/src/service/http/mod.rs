//! HTTP/1.1 (RFC 9110, RFC 9112) with one thing to serve: a body of so many bytes, or a file.
//!
//! Keep-alive and pipelining; GET and HEAD; request bodies are skipped. What it refuses: 400 bad syntax,
//! 404 another path, 405 another method, 431 a head over 8 KiB. A refusal that leaves the place of the
//! next request in doubt closes the connection.

mod connection;
mod content;
mod request;

pub use connection::Http;
pub use content::Content;
