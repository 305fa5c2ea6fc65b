//! Lengths and offsets in a TCP header (RFC 9293 §3.1).

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;

/// Maximum length of options in bytes: the data offset counts at most 15 words.
pub const OPTIONS_LEN_MAX: usize = 40;

/// Offset of the checksum in the header.
pub(super) const CHECKSUM_AT: usize = 16;

/// Length of a [`Stamped`](super::Stamped) header in bytes: the fixed part and twelve bytes of
/// timestamps.
pub(in crate::wire) const STAMPED_LEN: usize = HEADER_LEN + 12;
