//! The urgent pointers of both directions (RFC 6093).

use crate::tcp::SeqNum;

/// The ends of urgent data: after its last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Urgent {
    /// SND.UP; at or before SND.UNA if we have no urgent data to send.
    pub(in crate::tcp) snd_up: SeqNum,
    /// RCV.UP; at or before the read position if the peer has no urgent data.
    pub(in crate::tcp) rcv_up: SeqNum,
}
