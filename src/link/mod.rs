//! Frames in and frames out, in batches. Knows Ethernet frames as bytes only.
//!
//! A [`Frame`] is an unclonable ticket for one buffer: it is on one ring or in one hand. The sum of
//! frames posted for rx, posted for tx, held and free is constant ([`Accounting`]).

mod frame;
pub mod impair;
pub mod memory;
#[cfg(feature = "pcap")]
pub mod pcap;
#[cfg(feature = "xdp")]
pub mod xsk;

pub use frame::{Accounting, Area, Frame};

use std::os::fd::BorrowedFd;

use crate::time::Instant;

/// A way to send and receive Ethernet frames (without FCS), owned by one thread.
///
/// A worker's turn is: [`receive`](Link::receive) a batch; read the frames; [`release`](Link::release)
/// each; [`reserve`](Link::reserve) a frame for each packet to send, fill it, hand it to
/// [`transmit`](Link::transmit); [`flush`](Link::flush) once.
pub trait Link {
    /// Appends up to `max` frames that have arrived to `frames` and returns how many. Never blocks.
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize;

    /// A free frame to fill, or `None` when all are in use (counted by the caller).
    fn reserve(&mut self) -> Option<Frame>;

    /// Puts a filled frame on its way out. It may wait until [`flush`](Link::flush).
    fn transmit(&mut self, now: Instant, frame: Frame);

    /// Gives a frame back unsent.
    fn release(&mut self, frame: Frame);

    /// Kicks the device if it needs it, takes completions back, refills the fill ring. Once a turn.
    fn flush(&mut self, now: Instant);

    /// The largest frame that can be sent, bytes, Ethernet header included.
    fn frame_max(&self) -> usize;

    /// When the link itself wants to be called again although nothing arrives (delayed frames, an
    /// unfinished kick), if at all.
    fn deadline(&self) -> Option<Instant>;

    /// A file descriptor to wait on for arrivals, where there is one.
    fn wait_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Where the frames are.
    fn accounting(&self) -> Accounting;

    /// Counters of the link and the device below it since the start.
    fn statistics(&mut self) -> Statistics;

    /// Whether the device takes frames, as far as the last attempt told.
    fn state(&self) -> State {
        State::Up
    }

    /// What came with each frame of the last [`receive`](Link::receive) from the device, in their order; empty where
    /// nothing can have come.
    fn metadata(&self) -> &[Metadata] {
        &[]
    }
}

/// What came with a frame beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// When it came in.
    pub stamp: Option<Stamp>,
    /// The hash by which the NIC chose its queue, and what went into that: bits of the kernel's
    /// `enum xdp_rss_hash_type` ([`HASH_OF_PORTS`]).
    pub hash: Option<(u32, u32)>,
}

/// Ports went into a hash (include/net/xdp.h, `XDP_RSS_L4`).
pub const HASH_OF_PORTS: u32 = 1 << 3;

/// When a frame came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub nanos: u64,
    /// The driver told it; else it is when the XDP program saw the frame.
    pub by_driver: bool,
    /// The driver told a time of another clock.
    pub driver_is_foreign: bool,
}

/// Whether a link's device is in service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub enum State {
    /// It takes frames.
    #[default]
    Up,
    /// The interface is down, or gone.
    Down,
}

impl<L: Link + ?Sized> Link for Box<L> {
    #[inline]
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        (**self).receive(now, max, frames)
    }
    #[inline]
    fn reserve(&mut self) -> Option<Frame> {
        (**self).reserve()
    }
    #[inline]
    fn transmit(&mut self, now: Instant, frame: Frame) {
        (**self).transmit(now, frame);
    }
    #[inline]
    fn release(&mut self, frame: Frame) {
        (**self).release(frame);
    }
    #[inline]
    fn flush(&mut self, now: Instant) {
        (**self).flush(now);
    }
    fn frame_max(&self) -> usize {
        (**self).frame_max()
    }
    fn deadline(&self) -> Option<Instant> {
        (**self).deadline()
    }
    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        (**self).wait_fd()
    }
    fn accounting(&self) -> Accounting {
        (**self).accounting()
    }
    fn statistics(&mut self) -> Statistics {
        (**self).statistics()
    }
    fn state(&self) -> State {
        (**self).state()
    }
    #[inline]
    fn metadata(&self) -> &[Metadata] {
        (**self).metadata()
    }
}

/// What a link has counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Frames received.
    pub rx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames the kernel or device dropped on the way in (rx ring full, fill ring empty).
    pub rx_dropped: u64,
    /// Frames refused on the way out (too long, invalid descriptor).
    pub tx_dropped: u64,
    /// System calls made to kick or wake.
    pub kicks: u64,
    /// Kicks that the kernel answered with "again".
    pub kicks_again: u64,
}
