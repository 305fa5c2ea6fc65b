//! The size that a connection's receive buffer may grow to, and its reservation, in one byte.

use super::class::{FLOOR_SHIFT, SHIFT_MAX};

/// RCV.BUFF as a power of two, and a bit that says if the memory is reserved in the accounts of the
/// pool.
///
/// A promise without a reservation is credit: an idle connection advertises a window that no memory
/// backs until data arrives. Most connections never use it, and reserving memory for a million of
/// them would take more than a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Promise(u8);

/// Flag in the high bits: memory is reserved.
const HELD: u8 = 1 << 7;
/// Flag in the high bits: a tuner measures the connection (see `tuning`).
const TUNED: u8 = 1 << 6;

impl Promise {
    /// Creates a promise without a reservation, for the smallest power of two that holds `bytes`.
    #[inline]
    pub(in crate::tcp) const fn credit(bytes: u32) -> Self {
        Self(shift_of(bytes))
    }

    /// Returns log2 of RCV.BUFF.
    #[inline]
    pub(in crate::tcp) const fn shift(self) -> u8 {
        self.0 & !(HELD | TUNED)
    }

    /// Returns RCV.BUFF in bytes.
    #[inline]
    pub(in crate::tcp) const fn bytes(self) -> u32 {
        1 << self.shift()
    }

    /// Returns true if memory is reserved for all of it.
    #[inline]
    pub(in crate::tcp) const fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// Returns log2 of the reserved bytes, if any.
    #[inline]
    pub(in crate::tcp) const fn held(self) -> Option<u8> {
        if self.is_held() { Some(self.shift()) } else { None }
    }

    /// Returns true if a tuner measures the connection.
    #[inline]
    pub(in crate::tcp) const fn is_tuned(self) -> bool {
        self.0 & TUNED != 0
    }

    /// Sets or clears the mark that a tuner measures the connection.
    pub(in crate::tcp) const fn set_tuned(&mut self, tuned: bool) {
        self.0 = if tuned { self.0 | TUNED } else { self.0 & !TUNED };
    }

    /// Returns a promise of another size, with or without a reservation.
    pub(in crate::tcp) const fn with(self, shift: u8, held: bool) -> Self {
        Self(self.0 & TUNED | if held { shift | HELD } else { shift })
    }
}

/// Returns log2 of the smallest class that holds `bytes`.
#[inline]
pub(in crate::tcp) const fn shift_of(bytes: u32) -> u8 {
    let shift = if bytes <= 1 { 0 } else { (bytes - 1).ilog2() as u8 + 1 };
    if shift < FLOOR_SHIFT {
        FLOOR_SHIFT
    } else if shift > SHIFT_MAX {
        SHIFT_MAX
    } else {
        shift
    }
}
