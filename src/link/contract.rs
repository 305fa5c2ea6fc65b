//! The contract of a link: the trait that every link implements.

use std::os::fd::BorrowedFd;

use super::frame::{Accounting, Frame};
use super::metadata::Metadata;
use super::statistics::Statistics;
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
