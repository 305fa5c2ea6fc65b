//! What processors can do and the language has no word for: asking for a cache line before it is needed,
//! and comparing eight numbers at once.
//!
//! The first is a hint: it reads nothing and cannot fail, so that a wrong address costs time and never
//! correctness. This is the place in the shard with `unsafe`, which the intrinsics ask for. It pays: see
//! `benches/flow_table.rs`, batches with and without prefetching.

/// Fetches the first cache line of `value` into all levels.
#[inline(always)]
pub(super) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction (SSE, part of every x86-64) faults at no address, and this one comes
        // from a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Fetches all cache lines of `value` that begin within it, six at most.
#[inline(always)]
pub(super) fn prefetch_all<T>(value: &T) {
    prefetch(value);
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in 1..6 {
            if 64 * line < size_of::<T>() {
                let start = core::ptr::from_ref(value).cast::<i8>();
                // SAFETY: as above; the line begins inside `value`, which is larger than what lies before it.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(64 * line)) };
            }
        }
    }
}

/// Fetches the first two cache lines of `bytes`, as far as they reach.
#[inline(always)]
pub(super) fn prefetch_bytes(bytes: &[u8]) {
    if let Some(first) = bytes.first() {
        prefetch(first);
    }
    if let Some(second) = bytes.get(64) {
        prefetch(second);
    }
}

/// Which of eight numbers are `wanted`, one bit each: in a third of the instructions that compilers make of
/// the loop.
#[inline(always)]
pub(super) fn equal_to(numbers: &[u32; 8], wanted: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32, _mm_set_epi32,
            _mm_set1_epi32,
        };
        let [a, b, c, d, e, f, g, h] = numbers.map(u32::cast_signed);
        // SAFETY: SSE2 is part of every x86-64, and none of these takes a pointer.
        let both = unsafe {
            let wanted = _mm_set1_epi32(wanted.cast_signed());
            let low = _mm_cmpeq_epi32(_mm_set_epi32(d, c, b, a), wanted);
            let high = _mm_cmpeq_epi32(_mm_set_epi32(h, g, f, e), wanted);
            // All ones or none stay so in half the width, and in a quarter of it.
            let halves = _mm_packs_epi32(low, high);
            _mm_movemask_epi8(_mm_packs_epi16(halves, halves)).cast_unsigned()
        };
        both & 0xff
    }
    #[cfg(not(target_arch = "x86_64"))]
    numbers.iter().rev().fold(0, |bits, number| bits << 1 | u32::from(*number == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_of_eight_numbers_has_a_bit(numbers: [u8; 8], wanted: u8) {
            let wide = numbers.map(|number| u32::from(number % 4) << 30);
            let bits = equal_to(&wide, u32::from(wanted % 4) << 30);
            for (at, number) in numbers.into_iter().enumerate() {
                prop_assert_eq!(bits >> at & 1 == 1, number % 4 == wanted % 4);
            }
            prop_assert_eq!(bits >> 8, 0);
        }
    }
}
