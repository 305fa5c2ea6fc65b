//! `linerate path`: bulk transfer over an impaired path, linerate compared with the kernel's stack.
//!
//! | file | owns |
//! |---|---|
//! | [`middlebox`] | forwards all frames over one [impaired](linerate::link::impair) link |
//! | [`experiment`] | one run: senders and receivers in [namespaces](super::netns) |
//! | [`report`] | medians, ratios and shares; the JSON and the table |
//! | [`command`] | options, and the order of the runs |
//!
//! Runs that are compared alternate, and use the same network with the same seed.

mod command;
mod experiment;
mod middlebox;
mod report;

pub(crate) use command::{Options, run};
