//! The choices that a user has about AF_XDP sockets. They exist without AF_XDP too, since the
//! configuration of a stack holds them.

/// Transfer of frames between the device and the link's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Zero-copy if the driver supports it, otherwise copy; see
    /// [`XskLink::bound`](super::XskLink::bound).
    #[default]
    Auto,
    /// The kernel copies each frame. Works on every interface.
    Copy,
    /// The device uses the link's memory. Opening fails if the driver does not support it.
    ZeroCopy,
}

/// Preferred busy polling: the system calls of the link drive the device, and its interrupts stay
/// off. Requires `napi_defer_hard_irqs` and `gro_flush_timeout` on the interface. Has no effect on
/// veth, whose sockets have no NAPI id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// Maximum time of one poll in microseconds (SO_BUSY_POLL).
    pub micros: u32,
    /// Maximum number of frames per poll (SO_BUSY_POLL_BUDGET).
    pub budget: u32,
}

impl Default for BusyPoll {
    /// The values of the kernel's AF_XDP documentation.
    fn default() -> Self {
        Self { micros: 20, budget: 64 }
    }
}
