//! A bad network around any link: loss, bursts of loss, delay, jitter, reordering, duplication,
//! corruption and a rate limit, each direction apart, seeded, in the time of the `now` arguments. The
//! kernels this runs on may have no netem, and the simulated world has no kernel at all.
//!
//! What happens to a frame, in order: it is lost, or corrupted, perhaps duplicated; it waits for the
//! rate limiter's queue; then it travels for the delay.

mod config;
mod lane;
mod parse;
mod wrapper;

pub use config::{Burst, Impairment, Impairments};
pub use lane::Counts;
pub use parse::ImpairmentError;
pub use wrapper::Impaired;
