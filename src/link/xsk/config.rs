//! Configuration of an AF_XDP link and the sizes derived from it.

use super::OpenError;
use super::choices::{BusyPoll, Mode};

/// Interface, queue and sizes of an AF_XDP link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name of the interface in the network namespace of the calling thread.
    pub interface: String,
    /// Queue of the interface.
    pub queue: u32,
    /// Copy or zero-copy.
    pub mode: Mode,
    /// Makes the kernel report when it needs a kick (XDP_USE_NEED_WAKEUP), which saves the other
    /// kicks.
    pub need_wakeup: bool,
    /// Descriptors of the socket's RX ring, a power of two. While a worker is off its core, packets
    /// beyond this number are lost.
    pub rx_ring: u32,
    /// Descriptors of the TX ring, a power of two.
    pub tx_ring: u32,
    /// Length of a chunk in bytes: 2048, or 4096 (the page size). 256 of them are headroom.
    pub frame_size: u32,
    /// Frames that the user of the link may hold in addition to those on the rings.
    pub held: u32,
    /// Carries frames longer than a chunk in several descriptors, if the MTU of the interface
    /// requires it (XDP_USE_SG; needs Linux 6.6, and driver support in zero-copy mode).
    pub multi_buffer: bool,
    /// Tries huge pages first.
    pub huge_pages: bool,
    /// Reads the metadata that the XDP program writes in front of frames
    /// ([`Link::metadata`](crate::link::Link::metadata)).
    pub metadata: bool,
    /// Busy polling, if enabled.
    pub busy_poll: Option<BusyPoll>,
    /// Descriptors that one kick may send in copy mode (XDP_MAX_TX_SKB_BUDGET; 32 on older
    /// kernels). Capped at the size of the TX ring.
    pub tx_budget: u32,
    /// Number of frames transmitted without a flush after which the link kicks on its own, so that
    /// the device starts while a large turn is still in progress.
    pub watermark: u32,
}

/// Headroom that the kernel reserves before each packet (XDP_PACKET_HEADROOM).
pub(super) const HEADROOM: u32 = 256;

/// Assumed RX ring of a driver that does not report it: the fixed size of veth.
const DRIVER_RX_RING: u32 = 256;

/// Largest reported driver ring that is used. A fill ring for a larger one would pin more memory
/// than the saved packets are worth.
const DRIVER_RX_RING_MAX: u32 = 4096;

/// Length of a huge page in bytes. Areas are rounded to whole ones, the smallest unit that the
/// kernel unmaps.
const HUGE_PAGE: u32 = 2 << 20;

impl Config {
    /// Creates a configuration with the default sizes for `queue` of `interface`.
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
            return Err(OpenError::BadConfig("ring sizes are powers of two from 64 to 32768"));
        }
        if !matches!(self.frame_size, 2048 | 4096) {
            return Err(OpenError::BadConfig("the frame size is 2048 or 4096 bytes"));
        }
        if !(64..=1 << 18).contains(&self.held) {
            return Err(OpenError::BadConfig("the number of held frames is 64 to 262144"));
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

/// Sizes derived from a [`Config`] and the driver's RX ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub fill_ring: u32,
    pub completion_ring: u32,
    /// Frames posted to the kernel for receive. With fewer than the driver's ring and the socket's
    /// ring hold together, some drivers stop receiving for good; twice that number leaves time to
    /// refill.
    pub posted: u32,
    /// Total number of frames, such that sent and held frames never reduce the posted ones.
    pub frames: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_and_held_frames_never_reduce_the_posted_ones() {
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
    fn invalid_sizes_are_rejected() {
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
