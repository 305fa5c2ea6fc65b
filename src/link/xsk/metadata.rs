//! Metadata that the XDP program writes in front of a frame: bpf/linerate.h, `LINERATE_HINTS_*`.
//!
//! The headroom keeps whatever was written there last, so the program sets a mark and the reader
//! clears it: no chunk goes back to the kernel with a mark. If the kernel itself leaves one (it
//! copies a frame, then finds the RX ring full), the next frame in that chunk overwrites it.

use crate::link::{Area, Frame, Metadata, Stamp};

mod layout {
    //! The constants of bpf/linerate.h, as in the layer `xdp`.
    #![allow(dead_code)]
    include!(concat!(env!("OUT_DIR"), "/layout.rs"));
}

const BYTES: usize = layout::HINTS_BYTES as usize;

/// Reads the metadata in front of `frame` and clears its mark.
pub(super) fn take(area: &Area, frame: &mut Frame) -> Metadata {
    let Some(place) = area.in_front(frame) else { return Metadata::default() };
    if word(place, 0) != layout::HINTS_MARK {
        return Metadata::default();
    }
    let metadata = read(place);
    place[..4].fill(0);
    metadata
}

fn read(place: &[u8; BYTES]) -> Metadata {
    let valid = word(place, layout::HINTS_VALID_AT);
    let has = |bit: u32| valid & bit != 0;
    let (low, high) = (layout::HINTS_STAMP_AT as usize, layout::HINTS_STAMP_AT as usize + 8);
    let nanos = place[low..high].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let stamp = Stamp {
        nanos,
        by_driver: has(layout::VALID_DRIVER_STAMP),
        driver_is_foreign: has(layout::VALID_FOREIGN_STAMP),
    };
    let hash = (word(place, layout::HINTS_HASH_AT), word(place, layout::HINTS_HASH_TYPE_AT));
    Metadata {
        stamp: has(layout::VALID_STAMP).then_some(stamp),
        hash: has(layout::VALID_HASH).then_some(hash),
    }
}

fn word(place: &[u8; BYTES], at: u32) -> u32 {
    place[at as usize..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A received frame with `valid` metadata in front, as the program writes it.
    fn frame(area: &mut Area, mark: u32, valid: u32) -> Frame {
        let index = area.pop_free().unwrap();
        // SAFETY: the chunk was on the free list a line above.
        let mut frame = unsafe { area.issue(index, 256, 60) };
        let place: &mut [u8; BYTES] = area.in_front(&mut frame).unwrap();
        for (word, value) in place.chunks_exact_mut(4).zip([mark, valid, 7, 0, 9, 24]) {
            word.copy_from_slice(&u32::to_ne_bytes(value));
        }
        frame
    }

    #[test]
    fn valid_metadata_is_read_once() {
        let mut area = Area::new(1, 2048);
        let valid = layout::VALID_STAMP | layout::VALID_FOREIGN_STAMP | layout::VALID_HASH;
        let mut frame = frame(&mut area, layout::HINTS_MARK, valid);
        let nanos = if cfg!(target_endian = "little") { 7 } else { 7 << 32 };
        let stamp = Stamp { nanos, by_driver: false, driver_is_foreign: true };
        let expected = Metadata { stamp: Some(stamp), hash: Some((9, 24)) };
        assert_eq!(take(&area, &mut frame), expected);
        assert_eq!(take(&area, &mut frame), Metadata::default(), "the mark is cleared");
        area.release(frame).unwrap();
    }

    #[test]
    fn bytes_without_a_mark_or_room_are_not_metadata() {
        let mut area = Area::new(1, 2048);
        let mut unmarked = frame(&mut area, layout::HINTS_MARK + 1, u32::MAX);
        assert_eq!(take(&area, &mut unmarked), Metadata::default());
        area.release(unmarked).unwrap();
        let mut marked = frame(&mut area, layout::HINTS_MARK, 0);
        assert_eq!(take(&area, &mut marked), Metadata::default());
        area.release(marked).unwrap();
        let mut at_the_start = area.reserve().unwrap();
        assert!(area.in_front::<BYTES>(&mut at_the_start).is_none());
        let other = Area::new(1, 2048);
        assert!(other.in_front::<BYTES>(&mut at_the_start).is_none(), "of another area");
        area.release(at_the_start).unwrap();
    }
}
