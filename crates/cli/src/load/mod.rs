//! `linerate load`: patterns of load, each a [`linerate::shard::Service`] written once for both stacks.
//!
//! [`session`] owns what all patterns share: opening and counting connections, the stages of a run (ramp,
//! warm-up, measurement, drain), failures by cause. A pattern owns what happens on a connection. A
//! [`tally`] per worker is merged into the [`report`] at the end.

mod command;
mod connect;
mod hgrm;
mod idle;
mod plan;
mod progress;
mod report;
mod request;
mod session;
mod stream;
mod tally;

pub use command::{Options, run};
pub use plan::Pattern;
pub use report::Percentiles;
pub use tally::{Latencies, latencies, record};
