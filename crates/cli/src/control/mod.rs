//! The control socket of a running stack, and its clients `linerate top` and `linerate
//! connections`.
//!
//! A Unix socket, by default named after the process ID in a directory of its own. A request is one
//! line of JSON; the response is lines of JSON up to the end of the stream. File permissions are
//! the only access control: only the owner may enter the directory.

mod client;
pub(crate) mod connections;
mod directory;
mod latency;
mod rates;
mod request;
mod row;
mod server;
mod snapshot;
mod text;
pub(crate) mod top;

pub(crate) use directory::ControlOption;
pub(crate) use server::ControlServer;
