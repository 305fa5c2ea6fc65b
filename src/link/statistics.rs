//! Counters of a link.

/// Counters of a link since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames dropped by the kernel or device on receive (RX ring full, fill ring empty).
    pub rx_dropped: u64,
    /// Frames rejected on transmit (too long, invalid descriptor).
    pub tx_dropped: u64,
    /// System calls made to kick or wake the kernel.
    pub kicks: u64,
    /// Kicks for which the kernel returned `EAGAIN` or a similar transient error.
    pub kicks_again: u64,
}
