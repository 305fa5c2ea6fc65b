//! From received frames to the flows that they belong to.

pub(super) mod control;
pub(super) mod demux;
pub(super) mod fast_open;
pub(super) mod groups;
pub(super) mod handover;
pub(super) mod parse;
pub(super) mod passive;
