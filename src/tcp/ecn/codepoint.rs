//! The vocabulary of congestion notification: codepoints of the IP header, policies, modes, and the counters
//! of the AccECN option (RFC 3168 §5, RFC 9768 §3.2.3).

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
    pub(in crate::tcp) const fn initial() -> Self {
        Self { e0b: Some(1), ceb: Some(0), e1b: Some(1) }
    }
}
