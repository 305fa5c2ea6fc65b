//! The bounds that a program sets on one connection.

/// Bounds of buffers, segments and notifications. The default bounds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Bounds {
    /// Maximum send buffer, bytes.
    pub(in crate::tcp) send_buffer: u32,
    /// Maximum receive buffer, bytes.
    pub(in crate::tcp) receive_buffer: u32,
    /// Maximum receive buffer when our SYN left, bytes. It determines the window shift.
    pub(in crate::tcp) scaled_buffer: u32,
    /// Maximum segment size, options included.
    pub(in crate::tcp) mss: u16,
    /// Unsent bytes below which the program may write.
    pub(in crate::tcp) unsent: u32,
    /// Readable bytes from which the program is notified.
    pub(in crate::tcp) readable: u32,
    /// TTL or hop limit of outgoing packets.
    pub(in crate::tcp) hop_limit: Option<u8>,
}

impl Bounds {
    /// No bounds.
    pub(in crate::tcp) const NONE: Self = Self {
        send_buffer: u32::MAX,
        receive_buffer: u32::MAX,
        scaled_buffer: u32::MAX,
        mss: u16::MAX,
        unsent: u32::MAX,
        readable: 1,
        hop_limit: None,
    };
}

impl Default for Bounds {
    fn default() -> Self {
        Self::NONE
    }
}
