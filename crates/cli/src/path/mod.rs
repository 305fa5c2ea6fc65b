//! `linerate path`: bulk through a path made bad, this stack beside the kernel's through the same one.
//!
//! | file | owns |
//! |---|---|
//! | [`middle`] | the box in the middle: all that crosses it meets one [impaired](linerate::link::impair) line |
//! | [`contest`] | one run: senders and receivers in [namespaces](super::netns) around the box |
//! | [`report`] | medians, ratios and shares; the table and the JSON |
//! | [`command`] | the options, and the order of the runs |
//!
//! What is compared is measured in turn, run by run, through the same network by the same seed.

mod command;
mod contest;
mod middle;
mod report;

pub use command::{Options, run};
