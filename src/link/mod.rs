//! Frames in and frames out, in batches. Treats Ethernet frames as bytes.
//!
//! A [`Frame`] is an unclonable ticket for one buffer: it is on one ring or has one holder. The
//! number of frames posted for RX, posted for TX, held and free is constant ([`Accounting`]).

mod frame;
pub mod impair;
pub mod memory;
pub mod pcap;
#[cfg(feature = "xdp")]
pub mod xsk;

pub use frame::{Accounting, Area, Frame};

use std::os::fd::BorrowedFd;

use crate::time::Instant;

/// A link that sends and receives Ethernet frames (without FCS), owned by one thread.
///
/// A worker's turn is: [`receive`](Link::receive) a batch; read the frames;
/// [`release`](Link::release) each; [`reserve`](Link::reserve) a frame for each packet to send,
/// fill it, pass it to [`transmit`](Link::transmit); [`flush`](Link::flush) once.
pub trait Link {
    /// Appends up to `max` received frames to `frames` and returns their number. Never blocks.
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize;

    /// Returns a free frame, or `None` if all are in use (the caller counts this).
    fn reserve(&mut self) -> Option<Frame>;

    /// Sends a filled frame. The link may delay it until [`flush`](Link::flush).
    fn transmit(&mut self, now: Instant, frame: Frame);

    /// Returns a frame unsent.
    fn release(&mut self, frame: Frame);

    /// Kicks the device if needed, reaps completions and refills the fill ring. Call once per turn.
    fn flush(&mut self, now: Instant);

    /// Returns the length of the longest frame that can be sent, in bytes, Ethernet header
    /// included.
    fn frame_max(&self) -> usize;

    /// Returns the time at which the link needs a call even if nothing arrives (delayed frames, an
    /// unfinished kick), if any.
    fn deadline(&self) -> Option<Instant>;

    /// Returns a file descriptor to wait on for received frames, if the link has one.
    fn wait_fd(&self) -> Option<BorrowedFd<'_>>;

    /// Returns the location of all frames.
    fn accounting(&self) -> Accounting;

    /// Returns the counters of the link and its device since the start.
    fn statistics(&mut self) -> Statistics;

    /// Returns the state of the device as of the last attempt to use it.
    fn state(&self) -> State {
        State::Up
    }

    /// Returns the metadata of each frame of the last [`receive`](Link::receive), in the same
    /// order; empty if the link provides none.
    fn metadata(&self) -> &[Metadata] {
        &[]
    }
}

/// Metadata of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Time of arrival.
    pub stamp: Option<Stamp>,
    /// The hash by which the NIC chose the queue, and its inputs as bits of the kernel's `enum
    /// xdp_rss_hash_type` ([`HASH_OF_PORTS`]).
    pub hash: Option<(u32, u32)>,
}

/// Hash type bit: the hash includes ports (include/net/xdp.h, `XDP_RSS_L4`).
pub const HASH_OF_PORTS: u32 = 1 << 3;

/// Time of arrival of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub nanos: u64,
    /// The driver provided the time; otherwise the XDP program did, when it saw the frame.
    pub by_driver: bool,
    /// The driver's timestamp was from another clock and is not used.
    pub driver_is_foreign: bool,
}

/// State of a link's device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub enum State {
    /// The device accepts frames.
    #[default]
    Up,
    /// The interface is down or gone.
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

/// Counters of a link since it was opened.
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
    /// Frames dropped by the kernel or device on receive (RX ring full, fill ring empty).
    pub rx_dropped: u64,
    /// Frames rejected on transmit (too long, invalid descriptor).
    pub tx_dropped: u64,
    /// System calls made to kick or wake the kernel.
    pub kicks: u64,
    /// Kicks for which the kernel returned `EAGAIN` or a similar transient error.
    pub kicks_again: u64,
}
