//! An impaired network around any link: loss, bursts of loss, delay, jitter, reordering,
//! duplication, corruption, a rate limit and ECN marks, separately for each direction, seeded, in
//! the time of the `now` arguments. The kernel may lack netem, and the simulator has no kernel at
//! all.
//!
//! A frame is first lost, corrupted or duplicated; then it waits in the queue of the rate limiter,
//! where it is marked if the queue is long; then it is delayed.

mod config;
mod mark;
mod parse;
mod pipe;
mod wrapper;

pub use config::{Burst, Impairment, Impairments};
pub use parse::ImpairmentError;
pub use pipe::Counts;
pub use wrapper::Impaired;
