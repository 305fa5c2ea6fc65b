//! ECN vocabulary: codepoints of the IP header, policies, modes, and the counters of the AccECN
//! option (RFC 3168 §5, RFC 9768 §3.2.3).

/// The ECN field of an IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codepoint {
    /// Not ECN-capable transport.
    #[default]
    NotEct = 0,
    /// ECN-capable transport, ECT(1).
    Ect1 = 1,
    /// ECN-capable transport, ECT(0).
    Ect0 = 2,
    /// Congestion experienced.
    Ce = 3,
}

impl Codepoint {
    /// Returns the codepoint of the two low bits; ignores the other bits.
    #[inline]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// Returns the two bits of the header.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

/// Policy for requesting and accepting ECN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EcnPolicy {
    /// Neither requests nor accepts ECN.
    Off,
    /// Accepts ECN in either form and never requests it. This is Linux's default, since some paths
    /// still drop a SYN that requests ECN.
    #[default]
    Passive,
    /// Requests classic ECN, accepts either form.
    On,
    /// Requests accurate ECN, which a peer may downgrade to classic.
    Accurate,
}

/// The form of feedback that both ends agreed on: "feedback mode" in RFC 9768.
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

/// Byte counters of an AccECN option (RFC 9768 §3.2.3), modulo 2^24. An omitted counter is `None`.
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
    /// Returns the counters of a SYN-ACK (RFC 9768 §3.2.1): all of them, to test that the path
    /// passes the option.
    pub(in crate::tcp) const fn initial() -> Self {
        Self { e0b: Some(1), ceb: Some(0), e1b: Some(1) }
    }
}
