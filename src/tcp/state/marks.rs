//! The flags of a connection, in two bytes: pending output, negotiated options, the program's
//! calls.

/// Flags: pending output, negotiated options, the program's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Marks(u16);

impl Marks {
    /// An ACK is pending.
    pub(in crate::tcp) const ACK: Self = Self(1);
    /// A reset is pending.
    pub(in crate::tcp) const RESET: Self = Self(1 << 1);
    /// A zero-window probe is pending (RFC 9293 §3.8.6.1).
    pub(in crate::tcp) const PROBE: Self = Self(1 << 2);
    /// A zero-window probe was sent and the window has not opened since.
    pub(in crate::tcp) const PROBED: Self = Self(1 << 3);
    /// A keep-alive probe is pending (RFC 9293 §3.8.4).
    pub(in crate::tcp) const KEEP_ALIVE: Self = Self(1 << 4);
    /// The override timeout of silly-window avoidance expired (RFC 9293 §3.8.6.2.1).
    pub(in crate::tcp) const OVERRIDE: Self = Self(1 << 5);
    /// Both ends send timestamps (RFC 7323 §3.2).
    pub(in crate::tcp) const TIMESTAMPS: Self = Self(1 << 6);
    /// The addresses are IPv6.
    pub(in crate::tcp) const IPV6: Self = Self(1 << 7);
    /// Nagle's algorithm is on (RFC 9293 §3.7.4).
    pub(in crate::tcp) const NAGLE: Self = Self(1 << 8);
    /// CLOSE was called in SYN-RECEIVED: it takes effect in ESTABLISHED.
    pub(in crate::tcp) const CLOSE_PENDING: Self = Self(1 << 9);
    /// The program will not read any more.
    pub(in crate::tcp) const NO_READER: Self = Self(1 << 10);
    /// A write was short: the program waits for room.
    pub(in crate::tcp) const WANTS_ROOM: Self = Self(1 << 11);
    /// The peer's FIN came before all of its data.
    pub(in crate::tcp) const FIN_AHEAD: Self = Self(1 << 12);
    /// The program has set bounds, which are in `Connection::choices`.
    pub(in crate::tcp) const BOUNDED: Self = Self(1 << 13);
    /// Both ends permit SACK (RFC 2018 §2). Before the peer's SYN: we permit it.
    pub(in crate::tcp) const SACK: Self = Self(1 << 14);
    /// One of the directions has urgent data (RFC 9293 §3.8.5).
    pub(in crate::tcp) const URGENT: Self = Self(1 << 15);

    /// Returns true if any of `other` is set.
    #[inline]
    pub(in crate::tcp) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns true if all of `other` are set.
    #[inline]
    pub(in crate::tcp) const fn has_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the union of both.
    pub(in crate::tcp) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Sets `other`.
    #[inline]
    pub(in crate::tcp) const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clears `other`.
    #[inline]
    pub(in crate::tcp) const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Returns `other` if `on`, else nothing.
    pub(in crate::tcp) const fn when(other: Self, on: bool) -> Self {
        if on { other } else { Self(0) }
    }
}
