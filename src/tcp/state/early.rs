//! The yes-or-no state of Fast Open in one byte of the connection, and that of small segments, which has found
//! place there.

/// What Fast Open has to do with a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct EarlyMarks(u8);

impl EarlyMarks {
    /// We open, and the first SYN is to have the option: the box of rare things has the rest.
    pub(in crate::tcp) const TRIES: Self = Self(1);
    /// The peer's SYN brought it to life before the handshake was done.
    pub(in crate::tcp) const PASSIVE: Self = Self(1 << 1);
    /// It is owed a SYN-ACK again.
    pub(in crate::tcp) const SYN_ACK_PENDING: Self = Self(1 << 2);
    /// There was data in the SYN, ours or the peer's.
    pub(in crate::tcp) const DATA: Self = Self(1 << 3);
    /// The SYN-ACK acknowledged all of that.
    pub(in crate::tcp) const ACKED: Self = Self(1 << 4);

    /// Nagle's algorithm asks for small segments alone.
    pub(in crate::tcp) const COUNTS_SMALL: Self = Self(1 << 5);
    /// A segment of less than the MSS may be on its way.
    pub(in crate::tcp) const SMALL: Self = Self(1 << 6);

    /// `other` if `on`.
    pub(in crate::tcp) const fn when(other: Self, on: bool) -> Self {
        if on { other } else { Self(0) }
    }

    /// Whether it is known that no small segment is on its way.
    #[inline]
    pub(in crate::tcp) const fn has_no_small_segment(self) -> bool {
        self.0 & (Self::COUNTS_SMALL.0 | Self::SMALL.0) == Self::COUNTS_SMALL.0
    }

    /// Whether any of `other` is set.
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
