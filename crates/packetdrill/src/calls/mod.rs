//! The socket calls on the world: non-blocking calls, and one attempt of each blocking call.

mod data;
mod fast_open;
mod open;
mod option_value;
mod options;
mod poll;

pub(super) use data::{Received, Written};
pub(super) use open::Closing;
