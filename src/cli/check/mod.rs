//! `linerate check`: what this host and this interface can do, with a hint beside each shortcoming.
//!
//! [`host`] and [`interface`] each gather [`finding`]s; [`attempt`] tries what only a try can tell. Nothing
//! is changed: a program attached for the attempt passes all traffic on, and goes at once.

mod attempt;
mod command;
mod finding;
mod host;
mod interface;

pub use command::{Options, run};
