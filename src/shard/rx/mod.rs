//! From received frames to the flows that they belong to: parse and check, look up, process.
//!
//! Owns the moves between the three kinds of connection that a segment causes. Refuses to know the
//! service: its events wait in the endpoint's list of ready connections.

pub(super) mod batch;
pub(super) mod control;
pub(super) mod demux;
pub(super) mod drop_reason;
pub(super) mod fast_open;
pub(super) mod groups;
pub(super) mod handover;
pub(super) mod owner;
pub(super) mod parse;
pub(super) mod passive;
pub(super) mod segment;
