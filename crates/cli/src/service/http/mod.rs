//! HTTP/1.1 server (RFC 9110, RFC 9112) with one resource: a generated body or a file.
//!
//! hyper parses, frames and keeps alive; this module decides what the answer is and how long a
//! client may take. One [`Executor`](linerate::net::Executor) per worker runs it, on both stacks.
//!
//! | room | |
//! |---|---|
//! | `content` | the resource |
//! | `target` | Host, authority and path of a request |
//! | `site`, `answer` | the status of each request, and its response |
//! | `watch`, `stream` | the phase of a connection, and its deadline |
//! | `connection` | one connection, from the first head to the last FIN |
//! | `connections`, `server` | the connections of a worker, and their end |
//!
//! Supports GET, HEAD and OPTIONS. Errors: 400 for bad syntax, 404 for another path, 405 for
//! another method, 408 for a head that takes too long, 413 for a body that is too long, 421 for a
//! host that is not ours, 431 for a head that is too long, 501 for an unknown method.
//!
//! RFC 9110 §2.5 lets a server answer HTTP/1.2 as 1.1. hyper refuses it with 400.

mod answer;
mod connection;
mod connections;
mod content;
mod server;
mod site;
mod stream;
mod target;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use content::{BODY_MAX, Content};
pub(super) use server::service;
pub(crate) use site::{Site, Timeouts};
