//! Memory on huge pages. A table of a hundred megabytes on 4 KiB pages misses the TLB on nearly
//! every flow. Huge pages are advice only: where the kernel grants none, the stack is slower but
//! works.

/// Reserves a vector for `capacity` elements, on huge pages where possible. The memory stays
/// untouched.
pub(in crate::shard) fn reserve<T>(capacity: usize) -> Vec<T> {
    let reserved: Vec<T> = Vec::with_capacity(capacity);
    advise_huge_pages(reserved.as_ptr().addr(), capacity.saturating_mul(size_of::<T>()));
    reserved
}

/// Allocates `len` zeroes on huge pages where possible. The memory stays untouched.
pub(in crate::shard) fn zeroed(len: usize) -> Vec<[u64; 2]> {
    let memory = vec![[0; 2]; len];
    advise_huge_pages(memory.as_ptr().addr(), size_of_val(&memory[..]));
    memory
}

/// Allocates `len` copies of `value` on huge pages where possible.
pub(in crate::shard) fn filled<T: Copy>(len: usize, value: T) -> Vec<T> {
    let mut memory = reserve(len);
    memory.resize(len, value);
    memory
}

/// Size of a huge page: 2 MiB on x86-64, and on ARM with 4 KiB pages. Where huge pages are larger,
/// the advice covers less than it could.
#[cfg(target_os = "linux")]
const LARGE: usize = 2 << 20;

#[cfg(target_os = "linux")]
fn advise_huge_pages(start: usize, len: usize) {
    use core::ffi::{c_int, c_void};
    // madvise(2); part of the C library that `std` links on Linux.
    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }
    /// Value from the kernel's `mman-common.h`.
    const MADV_HUGEPAGE: c_int = 14;
    let first = start.next_multiple_of(LARGE);
    let end = (start + len) / LARGE * LARGE;
    if first < end {
        // SAFETY: the range lies inside one allocation that this process owns. The advice changes
        // no content: it only selects the pages to use when the memory is first touched.
        let _ = unsafe {
            madvise(core::ptr::without_provenance_mut(first), end - first, MADV_HUGEPAGE)
        };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: usize, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_memory_is_ordinary_memory() {
        let small: Vec<u64> = reserve(3);
        assert!(small.is_empty() && small.capacity() >= 3);
        let mut large = filled(1 << 20, 7u64);
        large[12_345] = 8;
        assert_eq!(large.iter().sum::<u64>(), 7 * (1 << 20) + 1);
        assert!(reserve::<u8>(0).is_empty());
    }
}
