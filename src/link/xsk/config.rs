//! What is asked of an AF_XDP link, and the sizes that follow from it.

use super::OpenError;

/// How frames cross between the device and the link's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Zero-copy where the driver has it, else copy; [`XskLink::bound`](super::XskLink::bound) tells.
    #[default]
    Auto,
    /// The kernel copies each frame. Works on every interface.
    Copy,
    /// The device uses the link's memory; opening fails where the driver can't.
    ZeroCopy,
}

/// Preferred busy polling: the device is driven by the link's own system calls, its interrupts stay
/// off. It needs `napi_defer_hard_irqs` and `gro_flush_timeout` set on the interface, and does nothing
/// on veth, whose sockets have no NAPI id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// Microseconds that one call may poll (SO_BUSY_POLL).
    pub micros: u32,
    /// Frames that one call may take (SO_BUSY_POLL_BUDGET).
    pub budget: u32,
}

impl Default for BusyPoll {
    /// The values of the kernel's AF_XDP documentation.
    fn default() -> Self {
        Self { micros: 20, budget: 64 }
    }
}

/// What to open, and how large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The interface's name in the network namespace of the calling thread.
    pub interface: String,
    /// Which of its queues.
    pub queue: u32,
    /// Copy or zero-copy.
    pub mode: Mode,
    /// Ask the kernel to tell when a kick is needed (XDP_USE_NEED_WAKEUP), so that the others are saved.
    pub need_wakeup: bool,
    /// Descriptors of the socket's rx ring, a power of two. A worker that is kept from its core for a
    /// millisecond misses as many packets as came in more than this.
    pub rx_ring: u32,
    /// Descriptors of the tx ring, a power of two.
    pub tx_ring: u32,
    /// Bytes of a chunk: 2048, or 4096 (the page). 256 of them are headroom.
    pub frame_size: u32,
    /// Frames that the link's user may hold at once beside those on the rings.
    pub held: u32,
    /// Carry frames longer than a chunk in several descriptors, where the interface's MTU has such (XDP_USE_SG;
    /// Linux 6.6, and in zero-copy mode a driver that can).
    pub multi_buffer: bool,
    /// Try huge pages first.
    pub huge_pages: bool,
    /// Read what the XDP program writes in front of frames ([`Link::metadata`](crate::link::Link::metadata)).
    pub metadata: bool,
    /// Busy polling, if wanted.
    pub busy_poll: Option<BusyPoll>,
    /// Descriptors that one kick may send in copy mode (XDP_MAX_TX_SKB_BUDGET; 32 where the kernel is too
    /// old to be asked). More than the tx ring means the ring.
    pub tx_budget: u32,
    /// Frames transmitted without a flush after which the link kicks by itself, so that the device
    /// begins while a large turn is still being worked on.
    pub watermark: u32,
}

/// Headroom that the kernel keeps before each packet (XDP_PACKET_HEADROOM).
pub(super) const HEADROOM: u32 = 256;

/// The rx ring of a driver that does not tell: veth's, which is fixed.
const DRIVER_RX_RING: u32 = 256;

/// The longest driver ring taken at its word: a fill ring for longer ones would pin more memory than
/// it saves packets.
const DRIVER_RX_RING_MAX: u32 = 4096;

/// Bytes of a huge page: areas are cut to whole ones, since the kernel unmaps nothing less.
const HUGE_PAGE: u32 = 2 << 20;

impl Config {
    /// The usual sizes for `queue` of `interface`.
    #[must_use]
    pub fn new(interface: &str, queue: u32) -> Self {
        Self {
            interface: interface.to_owned(),
            queue,
            mode: Mode::Auto,
            need_wakeup: true,
            rx_ring: 2048,
            tx_ring: 2048,
            frame_size: 2048,
            held: 1024,
            multi_buffer: true,
            huge_pages: true,
            metadata: false,
            busy_poll: None,
            tx_budget: 2048,
            watermark: 64,
        }
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        let ring_is_sane = |ring: u32| ring.is_power_of_two() && (64..=1 << 15).contains(&ring);
        if !ring_is_sane(self.rx_ring) || !ring_is_sane(self.tx_ring) {
            return Err(OpenError::BadConfig("a ring takes a power of two between 64 and 32768"));
        }
        if !matches!(self.frame_size, 2048 | 4096) {
            return Err(OpenError::BadConfig("a frame takes 2048 or 4096 bytes"));
        }
        if !(64..=1 << 18).contains(&self.held) {
            return Err(OpenError::BadConfig("between 64 and 262144 frames can be held"));
        }
        Ok(())
    }

    pub(super) fn sizes(&self, driver_rx_ring: Option<u32>) -> Sizes {
        let driver = driver_rx_ring.unwrap_or(DRIVER_RX_RING).clamp(1, DRIVER_RX_RING_MAX);
        let posted = 2 * (driver + self.rx_ring);
        let frames = posted + self.tx_ring + self.held;
        Sizes {
            fill_ring: posted.next_power_of_two(),
            completion_ring: self.tx_ring,
            posted,
            frames: frames.next_multiple_of(HUGE_PAGE / self.frame_size),
        }
    }
}

/// What follows from a [`Config`] and the driver's rx ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub fill_ring: u32,
    pub completion_ring: u32,
    /// Frames kept with the kernel for receiving. With fewer than the driver's ring and the socket's
    /// ring may hold together, receive can stall for good on some drivers; twice that leaves as many
    /// again to be refilled in peace.
    pub posted: u32,
    /// Frames in all: whatever is sent or held, the posted ones are never short.
    pub frames: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_and_held_never_eats_into_what_is_posted() {
        for driver in [None, Some(1), Some(512), Some(4096), Some(1 << 20)] {
            for ring in [64, 512, 4096] {
                let config = Config { rx_ring: ring, tx_ring: ring, ..Config::new("x", 0) };
                let sizes = config.sizes(driver);
                assert!(sizes.frames >= sizes.posted + config.tx_ring + config.held);
                assert!(sizes.posted <= sizes.fill_ring);
                assert_eq!(sizes.frames * config.frame_size % HUGE_PAGE, 0);
            }
        }
    }

    #[test]
    fn odd_sizes_are_refused() {
        let usual = || Config::new("x", 0);
        assert!(usual().check().is_ok());
        for odd in [
            Config { rx_ring: 1000, ..usual() },
            Config { tx_ring: 0, ..usual() },
            Config { tx_ring: 1 << 20, ..usual() },
            Config { frame_size: 1500, ..usual() },
            Config { held: 0, ..usual() },
        ] {
            assert!(matches!(odd.check(), Err(OpenError::BadConfig(_))), "{odd:?}");
        }
    }
}
