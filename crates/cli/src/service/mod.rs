//! The services of `linerate serve`, each a [`linerate::shard::Service`] written once for both stacks.
//!
//! They serve what DESIGN calls echo, discard, chargen, daytime, http and close; [`Mux`] lets several run
//! on one worker. They hold no memory per connection but a number ([`Io::user`](linerate::shard::Io)),
//! except `http`, which has a slab.

mod chargen;
mod close;
mod daytime;
mod discard;
mod echo;
mod http;
mod mux;
mod name;
#[cfg(test)]
mod script;

pub use http::Content;
pub use mux::Mux;
pub use name::Named;

/// Bytes copied at a time between a connection and a service: a few segments of 1,460 bytes would leave
/// the copy dominated by calls, a megabyte would push everything else out of the cache.
const CHUNK: usize = 64 * 1024;
