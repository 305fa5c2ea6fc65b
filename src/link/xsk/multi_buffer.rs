//! Frames longer than a chunk: reassembled from the descriptors that the kernel delivers, and split
//! into descriptors to send.
//!
//! Owns buffers as long as the longest frame, so that above the link every frame is contiguous.
//! This costs one copy of each long frame per direction; short ones are received in their chunk as
//! usual.

use super::umem::Chunks;
use crate::link::{Area, Frame};

/// Maximum number of descriptors per frame: the kernel turns them into an skb, which takes 17
/// fragments (MAX_SKB_FRAGS).
pub(super) const PARTS_MAX: usize = 16;

/// The long buffers of one link.
pub(super) struct MultiBuffer {
    pub area: Area,
    partial: Partial,
    parts_max: usize,
}

/// The frame under reassembly.
enum Partial {
    None,
    Frame(Frame),
    /// No buffer was free, or the frame is longer than any buffer: discard its descriptors.
    Lost,
}

/// Result of appending a part.
#[must_use]
pub(super) enum Appended {
    /// More parts follow.
    Partial,
    /// The frame is complete.
    Complete(Frame),
    /// The last part of a discarded frame.
    Lost,
}

impl MultiBuffer {
    /// Creates `count` buffers for frames of `frame_max` bytes, which are sent in parts of `part`
    /// bytes.
    pub(super) fn new(count: usize, frame_max: usize, part: usize) -> Self {
        let parts_max = frame_max.div_ceil(part);
        Self { area: Area::new(count, frame_max), partial: Partial::None, parts_max }
    }

    /// Returns true if the next part belongs to a frame in progress.
    #[inline]
    pub(super) const fn in_progress(&self) -> bool {
        !matches!(self.partial, Partial::None)
    }

    /// Appends a part; `more` is false for the last one.
    pub(super) fn append(&mut self, part: &[u8], more: bool) -> Appended {
        let partial = match std::mem::replace(&mut self.partial, Partial::None) {
            Partial::None => self.area.reserve().map_or(Partial::Lost, Partial::Frame),
            partial => partial,
        };
        let extended = match partial {
            Partial::Frame(frame) => self.extend(frame, part),
            discarded => discarded,
        };
        match extended {
            Partial::Frame(frame) if !more => Appended::Complete(frame),
            Partial::Lost | Partial::None if !more => Appended::Lost,
            partial => {
                self.partial = partial;
                Appended::Partial
            }
        }
    }

    fn extend(&mut self, mut frame: Frame, part: &[u8]) -> Partial {
        let (from, to) = (frame.len(), frame.len() + part.len());
        if to > frame.capacity() {
            let released = self.area.release(frame);
            debug_assert!(released.is_ok(), "the frame is from this area");
            return Partial::Lost;
        }
        frame.set_len(to);
        frame[from..].copy_from_slice(part);
        Partial::Frame(frame)
    }

    /// Returns an empty frame if, beyond `keep` chunks, enough are free to send this and all
    /// outstanding frames.
    pub(super) fn reserve(&mut self, keep: usize, chunks: &Chunks) -> Option<Frame> {
        let wanted = keep + (self.area.out() + 1) * self.parts_max;
        if chunks.area.free() < wanted { None } else { self.area.reserve() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multi_buffer(count: usize) -> MultiBuffer {
        MultiBuffer::new(count, 300, 100)
    }

    #[test]
    fn parts_in_order_form_the_frame() {
        let mut buffers = multi_buffer(1);
        assert!(matches!(buffers.append(&[1; 100], true), Appended::Partial));
        assert!(buffers.in_progress());
        assert!(matches!(buffers.append(&[2; 100], true), Appended::Partial));
        let Appended::Complete(frame) = buffers.append(&[3; 50], false) else {
            panic!("it is complete")
        };
        assert_eq!((frame.len(), frame[99], frame[100], frame[249]), (250, 1, 2, 3));
        assert!(!buffers.in_progress());
        buffers.area.release(frame).unwrap();
    }

    #[test]
    fn without_a_buffer_only_the_current_frame_is_lost() {
        let mut buffers = multi_buffer(1);
        let held = buffers.area.reserve().unwrap();
        assert!(matches!(buffers.append(&[1; 100], true), Appended::Partial));
        buffers.area.release(held).unwrap();
        assert!(matches!(buffers.append(&[1; 100], false), Appended::Lost));
        let Appended::Complete(frame) = buffers.append(&[2; 10], false) else {
            panic!("a frame of its own")
        };
        assert_eq!(frame.len(), 10);
        buffers.area.release(frame).unwrap();
    }

    #[test]
    fn an_oversized_frame_is_lost_and_its_buffer_is_released() {
        let mut buffers = multi_buffer(1);
        for _ in 0..4 {
            assert!(matches!(buffers.append(&[1; 100], true), Appended::Partial));
        }
        assert!(matches!(buffers.append(&[1; 100], false), Appended::Lost));
        assert_eq!((buffers.area.out(), buffers.area.free()), (0, 1));
    }
}
