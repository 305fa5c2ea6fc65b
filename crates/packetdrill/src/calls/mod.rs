//! The socket calls, as the world answers them: what does not block, and the attempts of what may.

mod data;
mod fast_open;
mod open;
mod options;
mod poll;

pub(super) use data::{Received, Written};
pub(super) use open::Closing;
pub(super) use poll::{Epoll, EpollChange};
