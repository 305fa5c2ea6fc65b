//! One block of shared memory, and the parts of it that rings and doorbells use.
//!
//! A [`Region`] is zeroed, aligned to a cache line and of fixed length. Its parts are named by
//! offset and length, and checked once, when a part is made: a [`ControlWord`], or a [`RingMemory`]
//! whose positions are masked to its power-of-two body. Later accesses cannot fail and cannot leave
//! the part.
//!
//! The other side may write anything at any time. So no reference to entries or bytes is ever
//! formed: index words and entries are atomics, bytes are copied in and out. A copy that races with
//! a lying writer holds some mixture of bytes.
//!
//! Contract of the callers within `ring`: two threads of this process never touch the same bytes
//! or the same entry at once. The two ends of a ring are made once, together, and their indices
//! keep them apart.

use core::mem::MaybeUninit;
use std::sync::Arc;

use super::sync::{AtomicU32, Ordering};

#[cfg(all(loom, test))]
use super::tests::block::Block;
#[cfg(not(all(loom, test)))]
use block::Block;

/// Length of a cache line in bytes. Smaller than the processor's, the two sides slow each other
/// down; larger wastes memory.
pub(super) const LINE: usize = 64;

/// Length of an entry in bytes, and of the smallest body of a ring.
pub(super) const ENTRY: usize = 32;

/// Length of the longest body of a ring in bytes: indices are 32 bits wide and must tell a full
/// ring from an empty one.
const BODY_MAX: usize = 1 << 31;

/// Offset of the producer's index in a ring's memory.
const TAIL: usize = 0;
/// Offset of the consumer's index in a ring's memory.
const HEAD: usize = LINE;
/// Offset of the entries or bytes in a ring's memory.
const BODY: usize = 2 * LINE;

/// A cause for which memory for a ring cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// The part does not lie in the region.
    #[error("{len} bytes at offset {at} do not lie in a region of {region} bytes")]
    Outside {
        /// Offset of the part in bytes.
        at: usize,
        /// Length of the part in bytes.
        len: usize,
        /// Length of the region in bytes.
        region: usize,
    },
    /// The offset is not at the start of a cache line.
    #[error("offset {at} is not a multiple of {LINE}")]
    Unaligned {
        /// Offset of the part in bytes.
        at: usize,
    },
    /// A ring of that many bytes is impossible.
    #[error("a ring of {len} bytes: the length must be a power of two from {ENTRY} to 2^31")]
    Length {
        /// Length of the entries or bytes of the ring.
        len: usize,
    },
    /// The memory is not available.
    #[error("cannot allocate {len} bytes for rings: out of memory, or length 0; ask for fewer")]
    Memory {
        /// Length of the region in bytes.
        len: usize,
    },
}

/// A block of shared memory. Clones name the same block.
#[derive(Clone, Debug)]
pub(super) struct Region {
    block: Arc<Block>,
}

impl Region {
    /// Allocates `len` zeroed bytes.
    pub(super) fn zeroed(len: usize) -> Result<Self, RegionError> {
        let block = Block::zeroed(len).ok_or(RegionError::Memory { len })?;
        Ok(Self { block: Arc::new(block) })
    }

    /// Returns the control word at `at`. It has the cache line to itself.
    pub(super) fn control(&self, at: usize) -> Result<ControlWord, RegionError> {
        self.check(at, LINE)?;
        Ok(ControlWord { block: Arc::clone(&self.block), at })
    }

    /// Returns the memory of a ring at `at`: two indices and `body` bytes, a power of two.
    pub(super) fn ring(&self, at: usize, body: usize) -> Result<RingMemory, RegionError> {
        let len = RingMemory::bytes(body).ok_or(RegionError::Length { len: body })?;
        self.check(at, len)?;
        Ok(RingMemory { block: Arc::clone(&self.block), at, mask: body - 1 })
    }

    fn check(&self, at: usize, len: usize) -> Result<(), RegionError> {
        let region = self.block.len();
        if at.checked_add(len).is_none_or(|end| end > region) {
            Err(RegionError::Outside { at, len, region })
        } else if at.is_multiple_of(LINE) {
            Ok(())
        } else {
            Err(RegionError::Unaligned { at })
        }
    }
}

/// A word that both sides read and write, alone on its cache line.
#[derive(Debug)]
pub(super) struct ControlWord {
    block: Arc<Block>,
    at: usize,
}

impl ControlWord {
    /// Returns the word.
    pub(super) fn word(&self) -> &AtomicU32 {
        // SAFETY: `Region::control` checked that a line at `at` lies in the block.
        unsafe { self.block.control(self.at) }
    }
}

/// The memory of one ring: the producer's index, the consumer's index, the body.
#[derive(Debug)]
pub(super) struct RingMemory {
    block: Arc<Block>,
    at: usize,
    /// Length of the body minus one.
    mask: usize,
}

impl RingMemory {
    /// Returns the length of a ring's memory with a body of `body` bytes, a multiple of a line, or
    /// `None` where no such ring is possible.
    pub(super) fn bytes(body: usize) -> Option<usize> {
        let possible = body.is_power_of_two() && (ENTRY..=BODY_MAX).contains(&body);
        possible.then(|| (BODY + body).next_multiple_of(LINE))
    }

    /// Returns the length of the body in bytes.
    pub(super) fn body_len(&self) -> usize {
        self.mask + 1
    }

    /// Returns the producer's index.
    pub(super) fn tail(&self) -> &AtomicU32 {
        // SAFETY: `Region::ring` checked that the ring's memory lies in the block.
        unsafe { self.block.control(self.at + TAIL) }
    }

    /// Returns the consumer's index.
    pub(super) fn head(&self) -> &AtomicU32 {
        // SAFETY: `Region::ring` checked that the ring's memory lies in the block.
        unsafe { self.block.control(self.at + HEAD) }
    }

    /// Sets both indices to 0. Only while no side uses the ring.
    pub(super) fn reset(&self) {
        self.tail().store(0, Ordering::Relaxed);
        self.head().store(0, Ordering::Relaxed);
    }

    /// Returns the words of the entry with number `index`, modulo the capacity.
    pub(super) fn load_entry(&self, index: u32) -> [u64; 4] {
        // SAFETY: `entry_at` is the start of an entry in the body.
        unsafe { self.block.load(self.entry_at(index)) }
    }

    /// Writes the words of the entry with number `index`, modulo the capacity.
    pub(super) fn store_entry(&self, index: u32, words: [u64; 4]) {
        // SAFETY: `entry_at` is the start of an entry in the body.
        unsafe { self.block.store(self.entry_at(index), words) }
    }

    /// Copies bytes in from `position` on, modulo the length of the body. Bytes past that length
    /// are left out.
    pub(super) fn copy_in(&self, position: u32, from: &[u8]) {
        let (offset, first, rest) = self.pieces(position, from.len());
        let source = from.as_ptr();
        // SAFETY: `pieces` splits at most the length of the body, and at most `from`, where the
        // body ends; the second piece starts at the start of the body. `from` is private memory.
        unsafe {
            self.block.copy_in(self.at + BODY + offset, source, first);
            self.block.copy_in(self.at + BODY, source.add(first), rest);
        }
    }

    /// Copies bytes out from `position` on, modulo the length of the body, and returns their
    /// number: all of `to`, or the length of the body. They are then initialized.
    pub(super) fn copy_out(&self, position: u32, to: &mut [MaybeUninit<u8>]) -> usize {
        // SAFETY: `to` is private memory of that length.
        unsafe { self.copy_out_raw(position, to.as_mut_ptr().cast(), to.len()) }
    }

    /// Copies as [`RingMemory::copy_out`] does, into initialized memory.
    pub(super) fn copy_out_over(&self, position: u32, to: &mut [u8]) -> usize {
        // SAFETY: `to` is private memory of that length.
        unsafe { self.copy_out_raw(position, to.as_mut_ptr(), to.len()) }
    }

    /// # Safety
    ///
    /// `len` bytes at `to` are private memory that may be written.
    unsafe fn copy_out_raw(&self, position: u32, to: *mut u8, len: usize) -> usize {
        let (offset, first, rest) = self.pieces(position, len);
        // SAFETY: `pieces` splits at most the length of the body, and at most `len`, where the body
        // ends; the second piece starts at the start of the body. The caller vouches for `to`.
        unsafe {
            self.block.copy_out(self.at + BODY + offset, to, first);
            self.block.copy_out(self.at + BODY, to.add(first), rest);
        }
        first + rest
    }

    /// Returns the offset in the body of the entry with number `index`. The body is a power of two
    /// and at least one entry, so the masked offset is a multiple of an entry's length.
    fn entry_at(&self, index: u32) -> usize {
        self.at + BODY + ((index as usize).wrapping_mul(ENTRY) & self.mask)
    }

    /// Returns the offset of `position` in the body, and `len`, at most the length of the body, in
    /// two pieces: up to the end of the body, and from its start on.
    fn pieces(&self, position: u32, len: usize) -> (usize, usize, usize) {
        let offset = position as usize & self.mask;
        let len = len.min(self.body_len());
        let first = len.min(self.body_len() - offset);
        (offset, first, len - first)
    }
}

/// The block itself: pointers. Models replace it by loom's cells (`tests/block.rs`).
#[cfg(not(all(loom, test)))]
mod block {
    use core::ptr::{self, NonNull};
    use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    use std::alloc::{Layout, alloc_zeroed, dealloc};

    use super::LINE;

    /// Zeroed memory of the heap, aligned to a line.
    #[derive(Debug)]
    pub(super) struct Block {
        base: NonNull<u8>,
        layout: Layout,
    }

    // SAFETY: the block owns its memory, which is not bound to a thread.
    unsafe impl Send for Block {}
    // SAFETY: shared access is by atomics, and by copies that the rings keep apart (see the top).
    unsafe impl Sync for Block {}

    impl Drop for Block {
        fn drop(&mut self) {
            // SAFETY: `zeroed` allocated `base` with this layout.
            unsafe { dealloc(self.base.as_ptr(), self.layout) }
        }
    }

    impl Block {
        /// Allocates `len` zeroed bytes; `None` without memory or for length 0.
        pub(super) fn zeroed(len: usize) -> Option<Self> {
            let layout = Layout::from_size_align(len, LINE).ok().filter(|_| len > 0)?;
            // SAFETY: the layout has a length above 0.
            let base = NonNull::new(unsafe { alloc_zeroed(layout) })?;
            Some(Self { base, layout })
        }

        /// Returns the length in bytes.
        pub(super) fn len(&self) -> usize {
            self.layout.size()
        }

        /// Returns the word at `at`.
        ///
        /// # Safety
        ///
        /// `at` is a multiple of 4 in the block, at a place that is only used as this word.
        pub(super) unsafe fn control(&self, at: usize) -> &AtomicU32 {
            // SAFETY: aligned, in the block by contract, and alive as long as `self`.
            unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) }
        }

        /// Returns the four words at `at`.
        ///
        /// # Safety
        ///
        /// `at` is a multiple of 8, and 32 bytes there lie in the block.
        pub(super) unsafe fn load(&self, at: usize) -> [u64; 4] {
            // SAFETY: by contract, and `word` is below 4.
            [0, 1, 2, 3].map(|word| unsafe { self.word(at, word) }.load(Ordering::Relaxed))
        }

        /// Writes the four words at `at`.
        ///
        /// # Safety
        ///
        /// As for [`Block::load`].
        pub(super) unsafe fn store(&self, at: usize, words: [u64; 4]) {
            for (n, value) in words.into_iter().enumerate() {
                // SAFETY: by contract, and `n` is below 4.
                unsafe { self.word(at, n) }.store(value, Ordering::Relaxed);
            }
        }

        /// # Safety
        ///
        /// As for [`Block::load`], with `n` below 4.
        unsafe fn word(&self, at: usize, n: usize) -> &AtomicU64 {
            // SAFETY: aligned, in the block by contract, and alive as long as `self`.
            unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(at + 8 * n).cast()) }
        }

        /// Copies `len` bytes from private memory to `at`.
        ///
        /// # Safety
        ///
        /// `len` bytes at `at` lie in the block; `from` can be read for `len` bytes outside it.
        pub(super) unsafe fn copy_in(&self, at: usize, from: *const u8, len: usize) {
            // SAFETY: by contract.
            unsafe { ptr::copy_nonoverlapping(from, self.base.as_ptr().add(at), len) }
        }

        /// Copies `len` bytes at `at` to private memory.
        ///
        /// # Safety
        ///
        /// `len` bytes at `at` lie in the block; `to` can be written for `len` bytes outside it.
        pub(super) unsafe fn copy_out(&self, at: usize, to: *mut u8, len: usize) {
            // SAFETY: by contract.
            unsafe { ptr::copy_nonoverlapping(self.base.as_ptr().add(at), to, len) }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{ENTRY, LINE, Region, RegionError, RingMemory};

    #[test]
    fn a_part_outside_the_region_is_refused() {
        let region = Region::zeroed(4 * LINE).expect("memory");
        assert!(region.control(3 * LINE).is_ok());
        assert!(region.ring(LINE, LINE).is_ok());
        for at in [4 * LINE, usize::MAX - LINE + 1, usize::MAX] {
            let outside = RegionError::Outside { at, len: LINE, region: 4 * LINE };
            assert_eq!(region.control(at).expect_err("outside"), outside);
        }
        for (at, body) in [(2 * LINE, LINE), (0, 4 * LINE), (0, 1 << 31), (1 << 63, LINE)] {
            let error = region.ring(at, body).expect_err("outside");
            assert!(matches!(error, RegionError::Outside { .. }), "{at} {body}: {error}");
        }
    }

    #[test]
    fn a_part_that_does_not_start_a_line_is_refused() {
        let region = Region::zeroed(8 * LINE).expect("memory");
        for at in [1, 4, 32, LINE - 1, LINE + 8] {
            assert_eq!(region.control(at).expect_err("unaligned"), RegionError::Unaligned { at });
            assert!(matches!(region.ring(at, LINE), Err(RegionError::Unaligned { .. })));
        }
    }

    #[test]
    fn a_ring_is_a_power_of_two_of_at_least_an_entry() {
        let region = Region::zeroed(8 * LINE).expect("memory");
        for body in [0, 1, 16, 33, 48, 96, (1 << 31) + 1, 1 << 32, usize::MAX] {
            let error = region.ring(0, body).expect_err("impossible");
            assert_eq!(error, RegionError::Length { len: body });
        }
        assert_eq!(RingMemory::bytes(ENTRY), Some(3 * LINE));
        assert_eq!(RingMemory::bytes(4 * LINE), Some(6 * LINE));
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        for len in [0, 1 << 62, usize::MAX] {
            assert_eq!(Region::zeroed(len).expect_err("no memory"), RegionError::Memory { len });
        }
    }

    #[test]
    fn any_position_stays_in_the_body() {
        let region = Region::zeroed(16 * LINE).expect("memory");
        let ring = region.ring(4 * LINE, LINE).expect("in the region");
        for position in [0, 1, 31, 63, 64, 100, u32::MAX] {
            ring.copy_in(position, &[0xff; 1000]);
            ring.store_entry(position, [u64::MAX; 4]);
            let mut read = [0; 1000];
            assert_eq!(ring.copy_out_over(position, &mut read), LINE);
            assert_eq!(read[..LINE], [0xff; LINE]);
            assert_eq!(ring.load_entry(position), [u64::MAX; 4]);
        }
        let neighbours = [0, 3 * LINE, 4 * LINE, 5 * LINE, 7 * LINE, 15 * LINE];
        for at in neighbours {
            let control = region.control(at).expect("in the region");
            assert_eq!(control.word().load(super::super::sync::Ordering::Relaxed), 0, "{at}");
        }
    }
}
