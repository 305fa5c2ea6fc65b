//! The transmit side of the link during a turn: reserves frames and sends them.
//!
//! Owns the frame that was reserved and not yet needed.

use crate::link::{Frame, Link};
use crate::time::Instant;

/// The transmit side of the link during a turn.
pub(in crate::shard) struct TxQueue<'a> {
    link: &'a mut dyn Link,
    now: Instant,
    spare: Option<Frame>,
    /// Number of frames sent.
    pub(in crate::shard) sent: usize,
}

impl<'a> TxQueue<'a> {
    pub(in crate::shard) fn new(link: &'a mut dyn Link, now: Instant) -> Self {
        Self { link, now, spare: None, sent: 0 }
    }

    /// Returns a frame to fill, or `None` if the link has none free.
    #[inline]
    pub(in crate::shard) fn take(&mut self) -> Option<Frame> {
        self.spare.take().or_else(|| self.link.reserve())
    }

    /// Returns an unused frame. The next [`take`](Self::take) gets it.
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

    /// Releases a frame that will not be sent.
    pub(in crate::shard) fn release(&mut self, frame: Frame) {
        self.link.release(frame);
    }

    /// Releases the spare frame. Returns the number of frames sent.
    pub(in crate::shard) fn close(mut self) -> usize {
        if let Some(frame) = self.spare.take() {
            self.link.release(frame);
        }
        self.sent
    }
}
