//! The yes-or-no state of a connection, in two bytes: what is owed, what was agreed, what the program
//! did.

/// Yes-or-no state: what is owed, what was agreed, what the program did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Marks(u16);

impl Marks {
    /// An ACK is owed now.
    pub(in crate::tcp) const ACK: Self = Self(1);
    /// A reset is owed.
    pub(in crate::tcp) const RESET: Self = Self(1 << 1);
    /// A zero-window probe is owed (RFC 9293 §3.8.6.1).
    pub(in crate::tcp) const PROBE: Self = Self(1 << 2);
    /// A zero-window probe was sent and the window has not opened since.
    pub(in crate::tcp) const PROBED: Self = Self(1 << 3);
    /// A keep-alive probe is owed (RFC 9293 §3.8.4).
    pub(in crate::tcp) const KEEP_ALIVE: Self = Self(1 << 4);
    /// Silly-window avoidance has waited long enough (RFC 9293 §3.8.6.2.1, the override timeout).
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
    /// Our SYN had to be sent again (RFC 6298 (5.7)).
    pub(in crate::tcp) const SYN_TIMED_OUT: Self = Self(1 << 13);
    /// Both ends permit SACK (RFC 2018 §2); before the peer's SYN, we do.
    pub(in crate::tcp) const SACK: Self = Self(1 << 14);
    /// There is urgent data in one of the directions (RFC 9293 §3.8.5).
    pub(in crate::tcp) const URGENT: Self = Self(1 << 15);

    /// Whether any of `other` is set.
    #[inline]
    pub(in crate::tcp) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both.
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

    /// `other` if `on`.
    pub(in crate::tcp) const fn when(other: Self, on: bool) -> Self {
        if on { other } else { Self(0) }
    }
}
