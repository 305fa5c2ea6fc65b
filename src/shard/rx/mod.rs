//! From received frames to the flows that they belong to.

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
