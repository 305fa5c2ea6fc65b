//! A bad network around any link: loss, bursts of loss, delay, jitter, reordering, duplication,
//! corruption, a rate limit and marks, each direction apart, seeded, in the time of the `now` arguments. The
//! kernels this runs on may have no netem, and the simulated world has no kernel at all.
//!
//! What happens to a frame, in order: it is lost, or corrupted, perhaps duplicated; it waits for the
//! rate limiter's queue, and is marked if that is long; then it travels for the delay.

mod config;
mod lane;
mod mark;
mod parse;
mod wrapper;

pub use config::{Burst, Impairment, Impairments};
pub use lane::Counts;
pub use parse::ImpairmentError;
pub use wrapper::Impaired;
