//! What the receive buffer of a connection may grow to, and whether memory is set aside for it, in a byte.

use super::class::{FLOOR_SHIFT, SHIFT_MAX};

/// RCV.BUFF as a power of two, and whether it is held: entered in the accounts of the pool.
///
/// What is not held is credit: an idle connection has told its peer of a window that no memory stands for
/// until data comes. Most never use it, and a million of them would else need more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Promise(u8);

/// The bit beside the power.
const HELD: u8 = 1 << 7;
/// The connection is watched for bulk, see `tuning`: a bit that has its place here.
const TUNED: u8 = 1 << 6;

impl Promise {
    /// Nothing is set aside yet for the smallest power of two that holds `bytes`.
    #[inline]
    pub(in crate::tcp) const fn credit(bytes: u32) -> Self {
        Self(shift_of(bytes))
    }

    /// log2 of RCV.BUFF.
    #[inline]
    pub(in crate::tcp) const fn shift(self) -> u8 {
        self.0 & !(HELD | TUNED)
    }

    /// RCV.BUFF in bytes.
    #[inline]
    pub(in crate::tcp) const fn bytes(self) -> u32 {
        1 << self.shift()
    }

    /// Whether memory is set aside for all of it.
    #[inline]
    pub(in crate::tcp) const fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// log2 of what is set aside, if anything is.
    #[inline]
    pub(in crate::tcp) const fn held(self) -> Option<u8> {
        if self.is_held() { Some(self.shift()) } else { None }
    }

    /// Whether the connection is watched for bulk.
    #[inline]
    pub(in crate::tcp) const fn is_tuned(self) -> bool {
        self.0 & TUNED != 0
    }

    /// Whether it is from now on.
    pub(in crate::tcp) const fn set_tuned(&mut self, tuned: bool) {
        self.0 = if tuned { self.0 | TUNED } else { self.0 & !TUNED };
    }

    /// Another power, all of it set aside or nothing.
    pub(in crate::tcp) const fn with(self, shift: u8, held: bool) -> Self {
        Self(self.0 & TUNED | if held { shift | HELD } else { shift })
    }
}

/// log2 of the smallest class that holds `bytes`.
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
