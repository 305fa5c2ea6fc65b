//! Drop reasons of packets that do not parse.

use crate::metrics::DropReason;
use crate::wire::Error;

/// Returns the drop reason of a parse error.
pub(in crate::shard) fn refused(error: Error) -> DropReason {
    match error {
        Error::Truncated => DropReason::Truncated,
        Error::Malformed | Error::Checksum => DropReason::Malformed,
        Error::Unsupported => DropReason::UnknownProtocol,
    }
}
