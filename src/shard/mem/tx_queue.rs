//! The link as far as a turn sends with it: frames to fill, and frames on their way.
//!
//! Owns the frame that was reserved and not yet needed.

use crate::link::{Frame, Link};
use crate::time::Instant;

/// The link, as far as a turn sends with it.
pub(in crate::shard) struct TxQueue<'a> {
    link: &'a mut dyn Link,
    now: Instant,
    spare: Option<Frame>,
    /// Frames sent.
    pub(in crate::shard) sent: usize,
}

impl<'a> TxQueue<'a> {
    pub(in crate::shard) fn new(link: &'a mut dyn Link, now: Instant) -> Self {
        Self { link, now, spare: None, sent: 0 }
    }

    /// A frame to fill.
    #[inline]
    pub(in crate::shard) fn take(&mut self) -> Option<Frame> {
        self.spare.take().or_else(|| self.link.reserve())
    }

    /// A frame that was not needed after all: the next one to be taken.
    #[inline]
    pub(in crate::shard) fn put_back(&mut self, frame: Frame) {
        if let Some(other) = self.spare.replace(frame) {
            self.link.release(other);
        }
    }

    /// Sends a frame.
    #[inline]
    pub(in crate::shard) fn send(&mut self, frame: Frame) {
        self.sent += 1;
        self.link.transmit(self.now, frame);
    }

    /// Gives a frame back that will not be sent.
    pub(in crate::shard) fn release(&mut self, frame: Frame) {
        self.link.release(frame);
    }

    /// Gives back what was not needed. Returns how many frames were sent.
    pub(in crate::shard) fn close(mut self) -> usize {
        if let Some(frame) = self.spare.take() {
            self.link.release(frame);
        }
        self.sent
    }
}
