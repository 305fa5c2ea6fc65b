//! The flags of the handshake and of Fast Open in one byte of the connection. The byte also holds
//! the flags of small segments.

/// Handshake, Fast Open and small-segment flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct EarlyMarks(u8);

impl EarlyMarks {
    /// We open, and the first SYN carries the option. The details are in `Connection::choices`.
    pub(in crate::tcp) const TRIES: Self = Self(1);
    /// The peer's SYN created the connection before the handshake was complete.
    pub(in crate::tcp) const PASSIVE: Self = Self(1 << 1);
    /// A SYN-ACK retransmission is pending.
    pub(in crate::tcp) const SYN_ACK_PENDING: Self = Self(1 << 2);
    /// The SYN carried data, ours or the peer's.
    pub(in crate::tcp) const DATA: Self = Self(1 << 3);
    /// The SYN-ACK acknowledged all data of the SYN.
    pub(in crate::tcp) const ACKED: Self = Self(1 << 4);

    /// Nagle's algorithm considers small segments only.
    pub(in crate::tcp) const COUNTS_SMALL: Self = Self(1 << 5);
    /// A segment smaller than the MSS may be in flight.
    pub(in crate::tcp) const SMALL: Self = Self(1 << 6);

    /// Our SYN or SYN-ACK was retransmitted (RFC 6298 (5.7)).
    pub(in crate::tcp) const SYN_TIMED_OUT: Self = Self(1 << 7);

    /// Returns `other` if `on`, else nothing.
    pub(in crate::tcp) const fn when(other: Self, on: bool) -> Self {
        if on { other } else { Self(0) }
    }

    /// Returns true if certainly no small segment is in flight.
    #[inline]
    pub(in crate::tcp) const fn has_no_small_segment(self) -> bool {
        self.0 & (Self::COUNTS_SMALL.0 | Self::SMALL.0) == Self::COUNTS_SMALL.0
    }

    /// Returns true if any of `other` is set.
    #[inline]
    pub(in crate::tcp) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets `other`.
    pub(in crate::tcp) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clears `other`.
    pub(in crate::tcp) const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}
