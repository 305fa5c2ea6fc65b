//! The urgent pointers of both directions (RFC 6093).

use crate::tcp::SeqNum;

/// Where urgent data ends: after its last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Urgent {
    /// SND.UP; at or before SND.UNA when nothing of ours is urgent.
    pub(in crate::tcp) snd_up: SeqNum,
    /// RCV.UP; at or before what was read when nothing of the peer's is.
    pub(in crate::tcp) rcv_up: SeqNum,
}
