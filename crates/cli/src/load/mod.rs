//! `linerate load`: load patterns, each a [`linerate::shard::Service`] written once for both
//! stacks.
//!
//! [`session`] owns what all patterns share: opening and counting connections, the stages of a run
//! (ramp, warm-up, measurement, drain), and failures by cause. A pattern defines what happens on a
//! connection. Each worker has a [`tally`]; they are merged into the [`report`] at the end.

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

pub(crate) use command::{Options, run};
pub(crate) use plan::Pattern;
pub(crate) use report::Percentiles;
pub(crate) use tally::{Latencies, latencies, record};
