//! Memory reserved at the start, and the small things that refer to nothing else in the shard: pages,
//! prefetching, the timer wheel, rate limits.

pub(super) mod inbox;
pub(super) mod keyed;
pub(super) mod limiter;
pub(super) mod pages;
pub(super) mod pressure;
pub(super) mod processor;
pub(super) mod turn_state;
pub(super) mod tx_queue;
pub mod wheel;
