//! Async programs in simulated worlds.

mod remote;
mod streams;
mod support;
