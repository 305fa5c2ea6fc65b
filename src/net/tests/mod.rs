//! Async programs in simulated worlds.

mod streams;
mod support;
