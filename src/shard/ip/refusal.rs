//! The names under which packets are counted that do not parse.

use crate::metrics::DropReason;
use crate::wire::Error;

/// Returns the reason for which a packet is dropped that does not parse.
pub(in crate::shard) fn refused(error: Error) -> DropReason {
    match error {
        Error::Truncated => DropReason::Truncated,
        Error::Malformed | Error::Checksum => DropReason::Malformed,
        Error::Unsupported => DropReason::UnknownProtocol,
    }
}
