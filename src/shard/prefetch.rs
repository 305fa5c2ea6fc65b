//! Asking the processor for a cache line before it is needed. A hint: it reads nothing and cannot
//! fail, so that a wrong address costs time and never correctness.
//!
//! The one place in the shard with `unsafe`, since the intrinsic takes a raw pointer. It pays: see
//! `benches/flow_table.rs`, batches with and without it.

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
