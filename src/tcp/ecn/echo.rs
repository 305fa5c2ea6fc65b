//! What the feedback of either kind returns: the congestion that an ACK echoes, and how urgent an ACK is
//! (RFC 3168, RFC 9768).

/// What an ACK tells of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Echo {
    /// Whether there was congestion.
    pub(in crate::tcp) congestion: bool,
    /// How many bytes came marked.
    pub(in crate::tcp) bytes: u32,
}

/// Whether a packet's mark wants an ACK at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::tcp) enum Urgency {
    Now,
    AsUsual,
}
