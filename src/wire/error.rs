//! Errors of parsing and emitting.

use core::fmt;

/// Reason that `parse` rejected the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The bytes end before the length that their headers give.
    Truncated,
    /// A field has a value that no valid packet of the format has.
    Malformed,
    /// The checksum does not match.
    Checksum,
    /// Well formed, but of a kind that this stack, or any end host, does not process.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than its headers say",
            Self::Malformed => "a field that no valid packet has",
            Self::Checksum => "the checksum is wrong",
            Self::Unsupported => "of an unsupported kind",
        })
    }
}

impl core::error::Error for Error {}

/// Error of `emit`: the buffer, or a length field of the format, is too small for the output. The
/// buffer then holds nothing useful.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("does not fit into the buffer")
    }
}

impl core::error::Error for NoRoom {}
