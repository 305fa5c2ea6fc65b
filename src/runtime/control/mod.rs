//! The control socket: other programs of the same user watch a running stack (feature `control`).
//!
//! A program opens a socket and gives it to its stack; `linerate top` and `linerate connections`
//! find it, or are given its path with `--control`:
//!
//! ```no_run
//! use linerate::{ControlError, ControlSocket, Stack};
//!
//! fn make_visible(stack: &mut Stack) -> Result<(), ControlError> {
//!     stack.serve_control(ControlSocket::open_default()?)
//! }
//! ```
//!
//! # Protocol
//!
//! A Unix stream socket. A client sends one [`Request`] as a line of JSON of at most 4096 bytes;
//! the response is lines of JSON up to the end of the stream:
//!
//! | request | response |
//! |---|---|
//! | `{"ask": "figures"}` | one [`Snapshot`] |
//! | `{"ask": "connections"}`, with the fields of a [`Filter`] | a line per connection, then `{"end": N}` with their number |
//! | an invalid one | `{"error": "…"}`, which also ends a listing that a worker does not answer |
//!
//! The line of a connection is an object: `worker`, and the fields of [`ConnInfo`] (`rtt`,
//! `rttvar`, `rtt_min` and `rto` in nanoseconds, sizes in bytes, `pacing_rate` in bytes per second;
//! null where there is none).
//!
//! File permissions are the only access control: only the owner may open the socket or enter the
//! default [`directory`].
//!
//! # Limits
//!
//! The thread `linerate-control` accepts clients, and a short-lived thread serves each of them, at
//! most four at once; others wait. A client has a second for its request, must read a part of the
//! response each second, and has a minute in total; then its stream is closed. Workers are not
//! disturbed: they publish counters anyway and fill one page of connections per turn.
//!
//! [`ConnInfo`]: crate::ConnInfo

mod answer;
mod bounded;
mod directory;
mod error;
mod request;
mod row;
mod server;
mod snapshot;
mod socket;

pub use directory::{directory, live_sockets};
pub use error::ControlError;
pub use request::{Filter, Request};
pub(super) use server::ControlServer;
pub use snapshot::{Counts, LatencyBuckets, Snapshot, WorkerSnapshot};
pub use socket::ControlSocket;
