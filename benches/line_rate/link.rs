//! A link at memory speed: hands out frames that were prepared, and keeps what is sent.

use std::collections::VecDeque;

use linerate::link::{Accounting, Area, Frame, Link, Statistics};
use linerate::time::Instant;

/// Frames: four steps of a cohort, their answers, and some.
const FRAMES: usize = 4096;
/// As in a UMEM of AF_XDP.
const CHUNK: usize = 2048;

pub struct PreparedLink {
    area: Area,
    prepared: VecDeque<Frame>,
    sent: Vec<Frame>,
}

impl PreparedLink {
    pub fn new() -> Self {
        Self {
            area: Area::new(FRAMES, CHUNK),
            prepared: VecDeque::with_capacity(FRAMES),
            sent: Vec::with_capacity(FRAMES),
        }
    }

    /// Prepares one frame.
    pub fn prepare(&mut self, write: impl FnOnce(&mut Frame)) {
        let mut frame = self.area.reserve().expect("more frames than are prepared");
        write(&mut frame);
        self.prepared.push_back(frame);
    }

    pub fn is_empty(&self) -> bool {
        self.prepared.is_empty()
    }

    /// Reads what was sent.
    pub fn read_answers(&mut self, mut read: impl FnMut(&[u8])) {
        for frame in self.sent.drain(..) {
            read(&frame);
            self.area.release(frame).expect("its own frame");
        }
    }
}

impl Link for PreparedLink {
    fn receive(&mut self, _: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let some = max.min(self.prepared.len());
        frames.extend(self.prepared.drain(..some));
        some
    }

    fn reserve(&mut self) -> Option<Frame> {
        self.area.reserve()
    }

    fn transmit(&mut self, _: Instant, frame: Frame) {
        self.sent.push(frame);
    }

    fn release(&mut self, frame: Frame) {
        self.area.release(frame).expect("its own frame");
    }

    fn flush(&mut self, _: Instant) {}

    fn frame_max(&self) -> usize {
        CHUNK
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn wait_fd(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    fn accounting(&self) -> Accounting {
        Accounting { held: self.area.out(), free: self.area.free(), ..Accounting::default() }
    }

    fn statistics(&mut self) -> Statistics {
        Statistics::default()
    }
}
