//! `linerate check`: reports what the host and an interface support, with a hint for each problem.
//!
//! [`host`], [`interface`] and [`place`] gather [`finding`]s; [`attempt`] attaches the program on
//! trial. The check changes nothing: the trial program passes all traffic to the kernel and is
//! detached at once. On request, [`rss_probe`] sends SYNs to a peer and [`rss_verdict`] compares
//! the queues of the replies with the prediction.

mod attempt;
mod command;
mod finding;
mod host;
mod interface;
mod place;
mod rss_probe;
mod rss_verdict;

pub(crate) use command::{Options, run};
