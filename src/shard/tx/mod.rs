//! From connections with pending output to frames on the link.

pub(super) mod pending;
pub(super) mod segments;
