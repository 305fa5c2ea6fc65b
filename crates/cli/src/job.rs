//! The input and the result of an engine.
//!
//! An engine (linerate's runtime, or [`kernel`](super::kernel)) guarantees:
//!
//! - One [`Service`] per worker, created by [`Job::make_service`] on its own thread. The first
//!   callback is `on_start`.
//! - `listeners[k]` listens on every address and every worker. The service sees it as
//!   `ListenerId(k)`.
//! - [`Job::ready`] is called once, after every listener accepts connections.
//! - A worker ends when its service calls [`Io::stop`](linerate::shard::Io::stop) or [`Job::stop`]
//!   is raised (noticed within 100 ms). The engine returns when all workers have ended.

use std::sync::Arc;

use linerate::shard::Service;

use super::options::StackOptions;
use super::stop::Stop;

/// Creates the service of the worker with the given index, on that worker's thread.
pub(crate) type MakeService = Arc<dyn Fn(usize) -> Box<dyn Service> + Send + Sync>;

/// A TCP port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// Port number, on every address of the stack.
    pub port: u16,
    /// Maximum number of connections waiting to be accepted.
    pub backlog: u32,
}

/// A program for an engine to run.
pub(crate) struct Job<'a> {
    /// Validated options of the stack.
    pub options: &'a StackOptions,
    /// Listeners, in the order of their `ListenerId`s.
    pub listeners: &'a [Listen],
    /// Creates the service of each worker.
    pub make_service: MakeService,
    /// The services finish what is under way by themselves when the stack drains.
    pub drains: bool,
    /// Ends the job when raised.
    pub stop: &'a Stop,
    /// Called once, when the listeners accept connections.
    pub ready: &'a dyn Fn(),
}

/// Final report of an engine: its non-zero counters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Drops by reason, frames, resets and so on.
    pub counters: Vec<(String, u64)>,
}
