//! Memory reserved at the start and small data structures: pages and prefetching, the timer wheel,
//! rate limits, keyed hashing, frames between turns, the state of a turn.
//!
//! Knows neither flows nor packets. Imports nothing else of the shard.

pub(super) mod inbox;
pub(super) mod keyed;
pub(super) mod limiter;
pub(super) mod pages;
pub(super) mod pressure;
pub(super) mod processor;
pub(super) mod turn_state;
pub(super) mod tx_queue;
pub mod wheel;
