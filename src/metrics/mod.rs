//! The counters of the stack. Every dropped packet has a named reason: [`DropReason`] is the only
//! way to drop one.
//!
//! Owns the names and the plain counters, one set per shard, written by one thread. The runtime
//! publishes copies to other threads.
//!
//! | file | |
//! |---|---|
//! | `drop_reason` | reasons for dropping a packet |
//! | `event` | all other events |
//! | `counters` | the counters of one shard |
//! | `latencies` | a histogram of durations |
//! | `named` | the macro that gives enum variants their names |

mod counters;
mod drop_reason;
mod event;
mod latencies;
mod named;

pub use counters::Counters;
pub use drop_reason::DropReason;
pub use event::Event;
pub use latencies::{LATENCY_BUCKETS, Latencies};
