//! From connections with pending output to frames on the link.
//!
//! Refuses to know what the service does, and why a segment is sent.

pub(super) mod pending;
pub(super) mod segments;
