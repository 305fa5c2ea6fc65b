//! Processor instructions that the language does not offer: prefetching a cache line, and comparing
//! eight numbers at once.
//!
//! A prefetch is a hint: it reads nothing and cannot fail, so a wrong address costs time and never
//! correctness. The `unsafe` here is what the intrinsics require, and it pays: see
//! `benches/flow_table.rs`, batches with and without prefetching.

/// Prefetches the first cache line of `value` into all levels.
#[inline(always)]
pub(in crate::shard) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the instruction (SSE, part of every x86-64) faults at no address, and this
        // address comes from a reference.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

/// Prefetches all cache lines that begin within `value`, at most six.
#[inline(always)]
pub(in crate::shard) fn prefetch_all<T>(value: &T) {
    prefetch(value);
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in 1..6 {
            if 64 * line < size_of::<T>() {
                let start = core::ptr::from_ref(value).cast::<i8>();
                // SAFETY: as above; the line begins inside `value`, since the offset is less than
                // its size.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(64 * line)) };
            }
        }
    }
}

/// Prefetches the first two cache lines of `bytes`, as far as it reaches.
#[inline(always)]
pub(in crate::shard) fn prefetch_bytes(bytes: &[u8]) {
    if let Some(first) = bytes.first() {
        prefetch(first);
    }
    if let Some(second) = bytes.get(64) {
        prefetch(second);
    }
}

/// Returns a mask with bit `i` set where `numbers[i]`, without the bits in `ignored`, equals
/// `wanted`. Branch-free, and a third of the instructions that compilers generate for the loop.
#[inline(always)]
pub(in crate::shard) fn equal_to(numbers: &[u32; 8], ignored: u32, wanted: u32) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{
            _mm_andnot_si128, _mm_cmpeq_epi32, _mm_movemask_epi8, _mm_packs_epi16, _mm_packs_epi32,
            _mm_set1_epi32,
        };
        let [low, high] = halves(numbers);
        // SAFETY: SSE2 is part of every x86-64, and none of these takes a pointer.
        let bits = unsafe {
            let wanted = _mm_set1_epi32(wanted.cast_signed());
            let ignored = _mm_set1_epi32(ignored.cast_signed());
            let low = _mm_cmpeq_epi32(_mm_andnot_si128(ignored, low), wanted);
            let high = _mm_cmpeq_epi32(_mm_andnot_si128(ignored, high), wanted);
            // A lane of all ones or all zeroes stays so when packed to half and to a quarter of its
            // width.
            let both = _mm_packs_epi32(low, high);
            _mm_movemask_epi8(_mm_packs_epi16(both, both)).cast_unsigned()
        };
        bits & 0xff
    }
    #[cfg(not(target_arch = "x86_64"))]
    bits_of(numbers, |number| number & !ignored == wanted)
}

/// Returns a mask with bit `i` set where the highest bit of `numbers[i]` is set.
#[inline(always)]
pub(in crate::shard) fn highest_bits(numbers: &[u32; 8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_mm_castsi128_ps, _mm_movemask_ps};
        let [low, high] = halves(numbers);
        // SAFETY: SSE2 is part of every x86-64, and none of these takes a pointer.
        let (low, high) = unsafe {
            (_mm_movemask_ps(_mm_castsi128_ps(low)), _mm_movemask_ps(_mm_castsi128_ps(high)))
        };
        (low | high << 4).cast_unsigned()
    }
    #[cfg(not(target_arch = "x86_64"))]
    bits_of(numbers, |number| number >> 31 == 1)
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn halves(numbers: &[u32; 8]) -> [core::arch::x86_64::__m128i; 2] {
    use core::arch::x86_64::_mm_set_epi32;
    let [a, b, c, d, e, f, g, h] = numbers.map(u32::cast_signed);
    // SAFETY: SSE2 is part of every x86-64, and this takes no pointer.
    unsafe { [_mm_set_epi32(d, c, b, a), _mm_set_epi32(h, g, f, e)] }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn bits_of(numbers: &[u32; 8], test: impl Fn(u32) -> bool) -> u32 {
    numbers.iter().rev().fold(0, |bits, number| bits << 1 | u32::from(test(*number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_of_eight_numbers_has_a_bit(numbers: [u8; 8], wanted: u8, ignored: bool) {
            // Four distinct values, in the two highest bits; `mask` may exclude the highest.
            let wide = numbers.map(|number| u32::from(number % 4) << 30);
            let mask = if ignored { 1 << 31 } else { 0 };
            let wanted = u32::from(wanted % 4) << 30 & !mask;
            let (equal, highest) = (equal_to(&wide, mask, wanted), highest_bits(&wide));
            for (at, number) in wide.into_iter().enumerate() {
                prop_assert_eq!(equal >> at & 1 == 1, number & !mask == wanted);
                prop_assert_eq!(highest >> at & 1 == 1, number >> 31 == 1);
            }
            prop_assert_eq!((equal | highest) >> 8, 0);
        }
    }
}
