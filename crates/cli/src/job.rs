//! What an engine is asked to run, and what it tells at the end.
//!
//! An engine (linerate's runtime, or [`kernel`](super::kernel)) promises:
//!
//! - one [`Service`] per worker, made by [`Job::make_service`] on the calling thread, `on_start` first;
//! - `listeners[k]` on every address, on every worker, told to the service as `ListenerId(k)`;
//! - [`Job::ready`] once, after every listener accepts;
//! - a worker ends when its service calls [`Io::stop`](linerate::shard::Io::stop) or [`Job::stop`] is
//!   raised (seen within 100 ms); the engine returns when all have.

use linerate::shard::Service;

use super::options::StackOptions;
use super::stop::Stop;

/// Makes the service of a worker, by its number.
pub type MakeService<'a> = &'a dyn Fn(usize) -> Box<dyn Service + Send>;

/// A TCP port to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// On every address of the stack.
    pub port: u16,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
}

/// What an engine is asked to run.
pub struct Job<'a> {
    /// The stack's options, checked.
    pub options: &'a StackOptions,
    /// In the order of their `ListenerId`s.
    pub listeners: &'a [Listen],
    /// The program, once per worker.
    pub make_service: MakeService<'a>,
    /// Raised to end it from outside.
    pub stop: &'a Stop,
    /// Called once, when connections are accepted.
    pub ready: &'a dyn Fn(),
}

/// What an engine tells at the end: its counters, by name, zero ones left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Drops by reason, frames, resets and the like.
    pub counters: Vec<(String, u64)>,
}
