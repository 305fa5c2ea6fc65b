//! `linerate check`: what this host and this interface can do, with a hint beside each shortcoming.
//!
//! [`host`], [`interface`] and [`place`] each gather [`finding`]s; [`attempt`] tries what only a try can tell. Nothing
//! is changed: a program attached for the attempt passes all traffic on, and goes at once. When told to, [`answers`]
//! asks a peer and [`foreseen`] judges where its answers came in.

mod answers;
mod attempt;
mod command;
mod finding;
mod foreseen;
mod host;
mod interface;
mod place;

pub use command::{Options, run};
