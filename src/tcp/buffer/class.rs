//! The size classes of buffers: powers of two from 2 KiB.

/// log2 of the smallest class, which holds one request or one full segment. With a smaller class, a
/// single MSS would need two steps.
pub(in crate::tcp) const FLOOR_SHIFT: u8 = 11;
/// The smallest class in bytes: a window opens for no less.
pub(in crate::tcp) const FLOOR: u32 = 1 << FLOOR_SHIFT;
/// log2 of the largest class, 1 GiB: the largest possible window (RFC 7323 §2.3).
pub(in crate::tcp) const SHIFT_MAX: u8 = 30;
pub(super) const CLASSES: usize = (SHIFT_MAX - FLOOR_SHIFT + 1) as usize;

/// Returns the smallest class that holds `bytes`.
pub(super) const fn class_of(bytes: u32) -> Option<usize> {
    if bytes == 0 || bytes > 1 << SHIFT_MAX {
        return None;
    }
    let shift = bytes.next_power_of_two().trailing_zeros();
    Some(shift.saturating_sub(FLOOR_SHIFT as u32) as usize)
}

pub(super) const fn class_bytes(index: usize) -> usize {
    1 << (index + FLOOR_SHIFT as usize)
}
