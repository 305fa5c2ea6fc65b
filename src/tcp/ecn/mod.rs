//! Explicit congestion notification: routers mark packets in place of dropping them, the receiver tells the
//! sender. Classic feedback (RFC 3168) tells of one mark a round trip, accurate feedback (RFC 9768) of all.
//!
//! Owns what the ends agreed on and both directions of feedback, in the box of rare things: to connections
//! without ECN it costs the test of a byte. Refuses to know what congestion control makes of a mark.
//!
//! | file | |
//! |---|---|
//! | `handshake` | tables 2 to 4 of RFC 9768: who asks, who agrees, what is told of the SYNs |
//! | `classic` | one connection's feedback by RFC 3168 |
//! | `accurate` | the same by RFC 9768 |
//! | `half` | what a connection does with either |

mod accurate;
mod classic;
mod half;
pub(super) mod handshake;

use super::SeqNum;
use accurate::Accurate;
use classic::Classic;

/// The congestion bits of an IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codepoint {
    /// The transport does not take part.
    #[default]
    NotEct = 0,
    /// It does: ECT(1).
    Ect1 = 1,
    /// It does: ECT(0).
    Ect0 = 2,
    /// It does, and there was congestion on the way.
    Ce = 3,
}

impl Codepoint {
    /// From the two bits of the header; the others are not looked at.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits of the header.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// Whether ECN is asked for and agreed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnPolicy {
    /// Neither.
    Off,
    /// Agreed to, in either form, and never asked for: as Linux does unless told otherwise, since there
    /// are still paths that lose a SYN which asks.
    #[default]
    Passive,
    /// Asked for in the classic form, agreed to in either.
    On,
    /// Asked for in the accurate form, which a peer may take down to the classic one.
    Accurate,
}

/// The form of feedback that two ends agreed on: "feedback mode" in RFC 9768.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EcnMode {
    /// None.
    #[default]
    None,
    /// RFC 3168.
    Classic,
    /// RFC 9768.
    Accurate,
}

/// The byte counters of an AccECN option (RFC 9768 §3.2.3), modulo 2^24; those left out are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteCounters {
    /// EE0B: bytes that arrived with ECT(0).
    pub e0b: Option<u32>,
    /// ECEB: bytes that arrived with CE.
    pub ceb: Option<u32>,
    /// EE1B: bytes that arrived with ECT(1).
    pub e1b: Option<u32>,
}

impl ByteCounters {
    /// Those of a SYN-ACK (RFC 9768 §3.2.1): all, for the path to show whether it lets them through.
    pub(super) const fn initial() -> Self {
        Self { e0b: Some(1), ceb: Some(0), e1b: Some(1) }
    }
}

/// ECN of one connection.
#[derive(Clone, Debug)]
pub(super) struct Ecn {
    feedback: Feedback,
    /// The numbers up to here were sent before the last response to marks: marks among them say the same
    /// again (RFC 3168 §6.1.2).
    responded: SeqNum,
    /// Bytes that the peer says came marked, and congestion control was not told of yet.
    marked: u32,
    /// A mark on our SYN, when there was no window to reduce.
    owes_response: bool,
}

#[derive(Clone, Debug)]
enum Feedback {
    Classic(Classic),
    Accurate(Accurate),
}

/// What an ACK tells of marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Told {
    /// Whether there was congestion.
    congestion: bool,
    /// How many bytes came marked.
    bytes: u32,
}

/// Whether a packet's mark wants an ACK at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Urgency {
    Now,
    AsUsual,
}
