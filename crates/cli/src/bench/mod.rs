//! `linerate bench`: this stack, the kernel's, and the raw AF_XDP ceiling, over the same veth pair in turn.
//!
//! | file | owns |
//! |---|---|
//! | [`lab`] | the veth pair between two [namespaces](super::netns), fresh for every run |
//! | [`ceiling`] | what the kernel's AF_XDP path allows without any stack |
//! | [`trial`] | one run: `serve` and `load` of this same program, bounded in time |
//! | [`workload`], [`suite`] | what is run, and the order that makes figures comparable |
//! | [`figures`], [`outcome`], [`table`], [`curve`] | medians and spreads; the JSON; the text |
//!
//! Every figure that is compared with another was measured within seconds of it, under the same conditions:
//! a core for each end, the same idling, addresses, pattern and program.

mod ceiling;
mod command;
mod curve;
mod figures;
mod folder;
mod lab;
mod outcome;
mod suite;
mod table;
mod trial;
mod workload;

pub use command::{Options, run};
