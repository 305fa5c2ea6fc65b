//! The service: its interface to the shard, its callbacks, active opens, timers, and the end of
//! connections.

pub(super) mod census;
pub(super) mod events;
pub(super) mod fast_open;
pub(super) mod info;
pub(super) mod io;
pub(super) mod mux;
pub(super) mod opens;
pub(super) mod options;
pub(super) mod service;
pub(super) mod settle;
pub(super) mod start;
pub(super) mod timers;
