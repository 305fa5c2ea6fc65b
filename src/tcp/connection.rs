//! A connection from SYN-SENT or ESTABLISHED to its end: the two halves and what joins them. This
//! file delegates; the steps of an arriving segment are in `arrive`, the questions in `transmit`.

use super::embryo::Embryo;
use super::isn::FlowSecrets;
use super::{BufferPool, Phase, Segment, SegmentOut, SeqNum, Settings};
use crate::time::Instant;

/// What the world lends to a connection for one call.
pub struct Env<'a> {
    /// Now.
    pub now: Instant,
    /// The shard's settings.
    pub settings: &'a Settings,
    /// Where buffers come from and go back to.
    pub pool: &'a mut BufferPool,
}

/// A set of things the application should hear about; see the constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub u8);

impl Events {
    /// ESTABLISHED was reached by an active open.
    pub const CONNECTED: Self = Self(1);
    /// There is data to read that was not there before.
    pub const READABLE: Self = Self(2);
    /// There is room to write after a short write.
    pub const WRITABLE: Self = Self(4);
    /// The peer's FIN was reached in order: after what is readable there is nothing more.
    pub const PEER_CLOSED: Self = Self(8);
    /// The connection is over; see [`Connection::close_reason`].
    pub const CLOSED: Self = Self(16);

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
    /// Adds `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
    /// Whether there is nothing to tell.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both FINs were sent and acknowledged.
    Finished,
    /// Aborted by our application.
    Aborted,
    /// The peer sent a reset.
    Reset,
    /// The peer answered our SYN with a reset.
    Refused,
    /// Nothing was acknowledged for longer than R2 (RFC 9293 §3.8.3), or the SYN was never answered.
    TimedOut,
    /// Keep-alive probes went unanswered.
    KeepAlive,
    /// ICMP told that the peer can't be reached while we were connecting (RFC 5927 §5).
    Unreachable,
    /// There was no memory for it.
    NoBuffers,
}

/// What ICMP can tell a connection, already validated against its sequence numbers by the caller's
/// quote (RFC 5927 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Host, network, port or protocol unreachable: hard while connecting, soft afterwards.
    Unreachable,
    /// The path's MTU in bytes (RFC 1191, RFC 8201).
    TooBig(u32),
}

/// How an arriving segment was dealt with; everything but `Accepted` is a drop with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Disposition {
    /// Used.
    Accepted,
    /// Outside the window (an ACK is owed).
    OutOfWindow,
    /// Older than the last timestamp (RFC 7323 §5.3).
    OldTimestamp,
    /// Acknowledges what was never sent, or too old (RFC 5961 §5).
    BadAck,
    /// A SYN in a synchronized state: challenged (RFC 5961 §4).
    ChallengedSyn,
    /// A reset in the window but not at RCV.NXT: challenged (RFC 5961 §3).
    ChallengedReset,
    /// No ACK bit where one is needed.
    NoAck,
    /// There was no buffer for its data.
    NoBuffer,
    /// Data after the receiver has gone (RFC 9293 §3.6.1).
    AfterClose,
}

/// A connection.
pub struct Connection;
