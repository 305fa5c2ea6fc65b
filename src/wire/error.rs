//! Why bytes were not a packet, and why a packet did not fit into bytes.

use core::fmt;

/// Why `parse` refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The bytes end before what their headers announce.
    Truncated,
    /// A field holds what no valid packet of that format has.
    Malformed,
    /// The sum does not fit the bytes.
    Checksum,
    /// Well formed, but of a kind that an end host must not or we do not act upon.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than its headers say",
            Self::Malformed => "a field that no valid packet has",
            Self::Checksum => "the checksum is wrong",
            Self::Unsupported => "of a kind that is not acted upon",
        })
    }
}

impl core::error::Error for Error {}

/// Why `emit` refused: the buffer, or a length field of the format, is too small for what was to be
/// written. Nothing useful is in the buffer then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("does not fit into the buffer")
    }
}

impl core::error::Error for NoRoom {}
