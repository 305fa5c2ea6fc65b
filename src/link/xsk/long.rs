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
pub(super) struct Long {
    pub area: Area,
    begun: Begun,
    parts_max: usize,
}

/// The frame under reassembly.
enum Begun {
    Nothing,
    Frame(Frame),
    /// No buffer was free, or the frame is longer than any buffer: discard its descriptors.
    Lost,
}

/// Result of appending a part.
#[must_use]
pub(super) enum Put {
    /// More parts follow.
    Wait,
    /// The frame is complete.
    Whole(Frame),
    /// The last part of a discarded frame.
    Lost,
}

impl Long {
    /// Creates `count` buffers for frames of `frame_max` bytes, which are sent in parts of `part`
    /// bytes.
    pub(super) fn new(count: usize, frame_max: usize, part: usize) -> Self {
        let parts_max = frame_max.div_ceil(part);
        Self { area: Area::new(count, frame_max), begun: Begun::Nothing, parts_max }
    }

    /// Returns true if the next part belongs to a frame in progress.
    #[inline]
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.begun, Begun::Nothing)
    }

    /// Appends a part; `more` is false for the last one.
    pub(super) fn put(&mut self, part: &[u8], more: bool) -> Put {
        let begun = match std::mem::replace(&mut self.begun, Begun::Nothing) {
            Begun::Nothing => self.area.reserve().map_or(Begun::Lost, Begun::Frame),
            begun => begun,
        };
        let grown = match begun {
            Begun::Frame(frame) => self.append(frame, part),
            lost => lost,
        };
        match grown {
            Begun::Frame(frame) if !more => Put::Whole(frame),
            Begun::Lost | Begun::Nothing if !more => Put::Lost,
            begun => {
                self.begun = begun;
                Put::Wait
            }
        }
    }

    fn append(&mut self, mut frame: Frame, part: &[u8]) -> Begun {
        let (from, to) = (frame.len(), frame.len() + part.len());
        if to > frame.capacity() {
            let released = self.area.release(frame);
            debug_assert!(released.is_ok(), "the frame is from this area");
            return Begun::Lost;
        }
        frame.set_len(to);
        frame[from..].copy_from_slice(part);
        Begun::Frame(frame)
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

    fn long(count: usize) -> Long {
        Long::new(count, 300, 100)
    }

    #[test]
    fn parts_in_order_form_the_frame() {
        let mut long = long(1);
        assert!(matches!(long.put(&[1; 100], true), Put::Wait));
        assert!(long.has_begun());
        assert!(matches!(long.put(&[2; 100], true), Put::Wait));
        let Put::Whole(frame) = long.put(&[3; 50], false) else { panic!("it is complete") };
        assert_eq!((frame.len(), frame[99], frame[100], frame[249]), (250, 1, 2, 3));
        assert!(!long.has_begun());
        long.area.release(frame).unwrap();
    }

    #[test]
    fn without_a_buffer_only_the_current_frame_is_lost() {
        let mut long = long(1);
        let held = long.area.reserve().unwrap();
        assert!(matches!(long.put(&[1; 100], true), Put::Wait));
        long.area.release(held).unwrap();
        assert!(matches!(long.put(&[1; 100], false), Put::Lost));
        let Put::Whole(frame) = long.put(&[2; 10], false) else { panic!("a frame of its own") };
        assert_eq!(frame.len(), 10);
        long.area.release(frame).unwrap();
    }

    #[test]
    fn an_oversized_frame_is_lost_and_its_buffer_is_released() {
        let mut long = long(1);
        for _ in 0..4 {
            assert!(matches!(long.put(&[1; 100], true), Put::Wait));
        }
        assert!(matches!(long.put(&[1; 100], false), Put::Lost));
        assert_eq!((long.area.out(), long.area.free()), (0, 1));
    }
}
