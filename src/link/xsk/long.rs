//! Frames longer than a chunk: put together of the parts that the kernel delivers, and cut into parts again.
//!
//! Owns buffers of its own, each as long as the longest frame, so that above the link a frame is one run of bytes
//! as everywhere else. That costs a copy each way, of frames that are long anyhow; short ones are received
//! in their chunk as ever.

use super::umem::Chunks;
use crate::link::{Area, Frame};

/// Descriptors of one frame at most: the kernel makes an skb of them, which takes 17 fragments (MAX_SKB_FRAGS).
pub(super) const PARTS_MAX: usize = 16;

/// The long buffers of one link.
pub(super) struct Long {
    pub area: Area,
    begun: Begun,
    parts_max: usize,
}

/// The frame whose last part has not come yet.
enum Begun {
    Nothing,
    Frame(Frame),
    /// There was no buffer for it, or it is longer than any frame: what comes of it is let go.
    Lost,
}

/// What a part has made of its frame.
#[must_use]
pub(super) enum Put {
    /// More has to come.
    Wait,
    /// It is whole.
    Whole(Frame),
    /// It was the last part of a frame that could not be kept.
    Lost,
}

impl Long {
    /// `count` buffers for frames of `frame_max` bytes, sent in parts of `part` bytes.
    pub(super) fn new(count: usize, frame_max: usize, part: usize) -> Self {
        let parts_max = frame_max.div_ceil(part);
        Self { area: Area::new(count, frame_max), begun: Begun::Nothing, parts_max }
    }

    /// Whether the next part belongs to a frame that has begun.
    #[inline]
    pub(super) const fn has_begun(&self) -> bool {
        !matches!(self.begun, Begun::Nothing)
    }

    /// Appends a part; `more` tells whether it is not the last.
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

    /// An empty frame, if beside `keep` chunks there are as many free as this one and all that are out may take.
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
    fn parts_in_order_make_the_frame() {
        let mut long = long(1);
        assert!(matches!(long.put(&[1; 100], true), Put::Wait));
        assert!(long.has_begun());
        assert!(matches!(long.put(&[2; 100], true), Put::Wait));
        let Put::Whole(frame) = long.put(&[3; 50], false) else { panic!("it is whole") };
        assert_eq!((frame.len(), frame[99], frame[100], frame[249]), (250, 1, 2, 3));
        assert!(!long.has_begun());
        long.area.release(frame).unwrap();
    }

    #[test]
    fn without_a_buffer_the_whole_frame_is_lost_and_the_next_one_is_not() {
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
    fn a_frame_longer_than_any_is_lost_and_its_buffer_is_not() {
        let mut long = long(1);
        for _ in 0..4 {
            assert!(matches!(long.put(&[1; 100], true), Put::Wait));
        }
        assert!(matches!(long.put(&[1; 100], false), Put::Lost));
        assert_eq!((long.area.out(), long.area.free()), (0, 1));
    }
}
