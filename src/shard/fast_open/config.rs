//! What a listener and an open choose about Fast Open.

/// A listener takes data in SYNs.
///
/// Data in a SYN may be delivered twice, should the SYN be duplicated on the way (RFC 7413 §6.1): only for
/// services that can bear that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastOpenListener {
    /// Connections at once whose handshake is not done (`PendingFastOpenRequests` of RFC 7413 §4.2): past this
    /// SYNs with data get an ordinary handshake. Each may hold what one SYN carries.
    pub pending: u32,
    /// Whether data is taken without a cookie as well (§7.3): only where source addresses can't be forged.
    pub without_cookie: bool,
}

impl Default for FastOpenListener {
    fn default() -> Self {
        Self { pending: 256, without_cookie: false }
    }
}

/// What an open takes along in its SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Early<'a> {
    /// Data: what the SYN has no room for follows the handshake.
    pub data: &'a [u8],
    /// Whether the server wants no cookie (RFC 7413 §7.3).
    pub without_cookie: bool,
}
