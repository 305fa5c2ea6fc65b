//! The window scale (RFC 7323 §2), valid by construction.

/// A window shift of 0 to 14.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowShift(u8);

impl WindowShift {
    /// No scaling.
    pub const ZERO: Self = Self(0);
    /// RFC 7323 §2.3: a larger shift would allow windows above 2^30, where old and new data are
    /// indistinguishable.
    pub const MAX: u8 = 14;

    /// Parses the option's byte.
    ///
    /// RFC 7323 §2.3:
    ///   > If a Window Scale option is received with a shift.cnt value larger than 14, the TCP
    ///   > SHOULD log the error but MUST use 14 instead of the specified value.
    pub const fn from_offer(raw: u8) -> Self {
        if raw > Self::MAX { Self(Self::MAX) } else { Self(raw) }
    }

    /// Returns the smallest shift with which a 16-bit window field can announce `buffer` bytes,
    /// except the last unit, which is not worth a coarser unit for all windows.
    pub const fn for_buffer(buffer: u32) -> Self {
        let units = buffer.saturating_sub(1) >> u16::BITS;
        Self::from_offer((u32::BITS - units.leading_zeros()) as u8)
    }

    /// Returns the shift, 0 to 14.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Converts a window field to bytes.
    #[inline]
    pub const fn scale(self, field: u16) -> u32 {
        (field as u32) << self.0
    }

    /// Converts a window in bytes to a window field, rounded down so that the field never promises
    /// a byte too many.
    #[inline]
    pub const fn field(self, bytes: u32) -> u16 {
        let field = bytes >> self.0;
        if field > u16::MAX as u32 { u16::MAX } else { field as u16 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_of_15_or_more_is_clamped_to_14() {
        assert_eq!(WindowShift::from_offer(255).get(), 14);
        assert_eq!(WindowShift::from_offer(14).get(), 14);
    }

    #[test]
    fn the_shift_is_the_smallest_that_can_announce_the_largest_window() {
        // RFC 7323 §2.3
        for (buffer, shift) in
            [(0, 0), (65_535, 0), (65_536, 0), (65_537, 1), (1 << 24, 8), (1 << 30, 14)]
        {
            assert_eq!(WindowShift::for_buffer(buffer).get(), shift, "{buffer}");
        }
        assert_eq!(WindowShift::for_buffer(u32::MAX).get(), 14);
    }

    #[test]
    fn a_window_field_never_promises_more_than_the_window() {
        let shift = WindowShift::for_buffer(1 << 20);
        assert_eq!(shift.get(), 4);
        assert_eq!(shift.scale(shift.field((1 << 20) - 1)), (1 << 20) - 16);
        assert_eq!(shift.scale(shift.field(u32::MAX)), (1 << 20) - 16);
        assert_eq!(WindowShift::ZERO.field(1 << 20), u16::MAX);
    }
}
