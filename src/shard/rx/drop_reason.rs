//! Mapping from the protocol's reasons for refusing a segment to counters.

use crate::metrics::DropReason;
use crate::tcp::Disposition;

/// Returns the counter of a refused segment.
pub(in crate::shard) fn drop_reason(disposition: Disposition) -> DropReason {
    match disposition {
        Disposition::OutOfWindow => DropReason::OutOfWindow,
        Disposition::OldTimestamp => DropReason::OldTimestamp,
        Disposition::NoTimestamp => DropReason::NoTimestamp,
        Disposition::BadAck => DropReason::BadAck,
        Disposition::ChallengedSyn => DropReason::ChallengedSyn,
        Disposition::ChallengedReset => DropReason::ChallengedReset,
        Disposition::NoAck => DropReason::NoAck,
        Disposition::NoBuffer => DropReason::NoBuffer,
        Disposition::AfterClose => DropReason::AfterClose,
        Disposition::Accepted | Disposition::Reset => DropReason::NoConnection,
    }
}
