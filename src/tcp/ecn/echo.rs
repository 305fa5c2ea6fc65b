//! Results of feedback processing, classic or accurate: the congestion that an ACK echoes, and the
//! urgency of an ACK (RFC 3168, RFC 9768).

/// Congestion feedback of an ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Echo {
    /// The path marked packets.
    pub(in crate::tcp) congestion: bool,
    /// Number of bytes that arrived CE-marked.
    pub(in crate::tcp) bytes: u32,
}

/// Urgency of the ACK for a marked packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Urgency {
    Now,
    AsUsual,
}
