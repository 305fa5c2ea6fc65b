//! Memory reserved at the start, and the small things that refer to nothing else in the shard: pages,
//! prefetching, the timer wheel, rate limits.

pub(super) mod limiter;
pub(super) mod pages;
pub(super) mod processor;
pub mod wheel;
