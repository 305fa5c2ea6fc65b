//! Async programs in simulated worlds.

mod accepts;
mod drains;
mod drops;
mod errors;
mod hosts;
mod remote;
mod streams;
mod support;
mod tasks;
mod timers;
