//! `linerate bench`: measures linerate, the kernel's stack and the raw AF_XDP ceiling in turn, over
//! identical veth pairs.
//!
//! | file | owns |
//! |---|---|
//! | [`testbed`] | the veth pair between two [namespaces](super::netns), new for every run |
//! | [`ceiling`] | the limit of the kernel's AF_XDP path, without a stack |
//! | [`trial`] | one run: `serve` and `load` of this program, with time limits |
//! | [`workload`], [`suite`] | what runs, and in which order, so that results are comparable |
//! | [`http`] | hyper on linerate, on tokio over kernel sockets, and callbacks, with two clients |
//! | [`stats`], [`report`], [`table`], [`curve`] | medians and spreads; the JSON; the tables |
//!
//! Results that are compared were measured within seconds of each other, under the same conditions:
//! one core per end, the same idle policy, addresses, pattern and program.

mod ceiling;
mod command;
mod curve;
mod folder;
mod http;
mod report;
mod stats;
mod suite;
mod table;
mod testbed;
mod trial;
mod workload;

pub(crate) use command::{Options, run};
pub(crate) use http::{ServerOptions, serve};
