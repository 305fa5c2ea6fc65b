//! Fast Open options of a listener and of an active open.

/// Fast Open on a listener: it accepts data in SYNs.
///
/// A duplicated SYN delivers its data twice (RFC 7413 §6.1). Enable it only for services that
/// tolerate this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastOpenListener {
    /// Maximum number of connections whose handshake is not complete (`PendingFastOpenRequests` of
    /// RFC 7413 §4.2). Beyond it, SYNs with data get a regular handshake. Each connection may hold
    /// the data of one SYN.
    pub pending: u32,
    /// Accepts data without a cookie as well (§7.3). Safe only where source addresses cannot be
    /// forged.
    pub without_cookie: bool,
}

impl Default for FastOpenListener {
    fn default() -> Self {
        Self { pending: 256, without_cookie: false }
    }
}

/// Early data of an active open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Early<'a> {
    /// Data to send. What does not fit the SYN follows the handshake.
    pub data: &'a [u8],
    /// The server requires no cookie (RFC 7413 §7.3).
    pub without_cookie: bool,
}
