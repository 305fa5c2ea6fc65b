//! A link at memory speed: delivers prepared frames and keeps sent ones.

use linerate::link::{Accounting, Area, Frame, Link, Statistics};
use linerate::time::Instant;

/// Frames: four steps of a cohort, their answers, and some spare ones.
const FRAMES: usize = 4096;
/// Bytes per frame, as in a UMEM of AF_XDP.
const CHUNK: usize = 2048;

pub(crate) struct PreparedLink {
    area: Area,
    /// Prepared frames in the order of arrival, cut into batches.
    prepared: Vec<Vec<Frame>>,
    next: usize,
    batch: usize,
    sent: Vec<Frame>,
}

impl PreparedLink {
    /// Creates a link that delivers batches of up to `batch` frames. Its frames are resident.
    pub(crate) fn new(batch: usize) -> Self {
        let mut link = Self::with_frames(FRAMES, batch);
        let mut frames: Vec<Frame> = core::iter::from_fn(|| link.reserve()).collect();
        frames.iter_mut().for_each(|frame| frame.buffer().fill(0));
        frames.into_iter().for_each(|frame| link.release(frame));
        link
    }

    /// Creates a link with just enough frames to start a stack.
    pub(crate) fn small() -> Self {
        Self::with_frames(16, 16)
    }

    fn with_frames(frames: usize, batch: usize) -> Self {
        let area = Area::new(frames, CHUNK);
        Self { area, prepared: Vec::new(), next: 0, batch, sent: Vec::with_capacity(frames) }
    }

    /// Prepares one frame.
    pub(crate) fn prepare(&mut self, write: impl FnOnce(&mut Frame)) {
        let mut frame = self.area.reserve().expect("more frames than are prepared");
        write(&mut frame);
        match self.prepared.last_mut().filter(|last| last.len() < self.batch) {
            Some(last) => last.push(frame),
            None => {
                let mut batch = Vec::with_capacity(self.batch);
                batch.push(frame);
                self.prepared.push(batch);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next == self.prepared.len()
    }

    /// Reads the sent frames.
    pub(crate) fn read_answers(&mut self, mut read: impl FnMut(&[u8])) {
        self.prepared.clear();
        self.next = 0;
        for frame in self.sent.drain(..) {
            read(&frame);
            self.area.release(frame).expect("its own frame");
        }
    }
}

impl Link for PreparedLink {
    fn receive(&mut self, _: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        let Some(batch) = self.prepared.get_mut(self.next) else { return 0 };
        assert!(frames.is_empty() && batch.len() <= max, "batches are cut to the requested size");
        self.next += 1;
        std::mem::swap(frames, batch);
        frames.len()
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
