//! Initial sequence numbers (RFC 6528) and timestamp offsets.

/// What is derived from a flow's addresses and the host's secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowSecrets {
    /// F() of RFC 6528 §3.
    pub isn_offset: u32,
    /// Added to the timestamp clock of this flow (RFC 7323 §5.4 and its security considerations).
    pub timestamp_offset: u32,
}

/// Draws them.
#[derive(Debug)]
pub struct IsnGenerator;
