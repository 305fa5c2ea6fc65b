//! The block of a region while loom checks a model: each control word is an atomic of loom's, and
//! each word of an entry and each byte is a cell in which loom reports a race.
//!
//! The three kinds lie in spaces of their own. That suits the rings, where each place has one use.

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;

use super::super::region::LINE;

#[derive(Debug)]
pub(crate) struct Block {
    /// One a line.
    controls: Vec<AtomicU32>,
    words: Vec<UnsafeCell<u64>>,
    bytes: Vec<UnsafeCell<u8>>,
}

// SAFETY: loom checks each access to a cell and fails the model at a race.
unsafe impl Sync for Block {}

impl Block {
    pub(crate) fn zeroed(len: usize) -> Option<Self> {
        (0 < len && len < 1 << 16).then(|| Self {
            controls: (0..len / LINE).map(|_| AtomicU32::new(0)).collect(),
            words: (0..len / 8).map(|_| UnsafeCell::new(0)).collect(),
            bytes: (0..len).map(|_| UnsafeCell::new(0)).collect(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) unsafe fn control(&self, at: usize) -> &AtomicU32 {
        assert_eq!(at % LINE, 0);
        &self.controls[at / LINE]
    }

    pub(crate) unsafe fn load(&self, at: usize) -> [u64; 4] {
        assert_eq!(at % 8, 0);
        // SAFETY: loom checks that no one writes the cell meanwhile.
        [0, 1, 2, 3].map(|n| self.words[at / 8 + n].with(|word| unsafe { *word }))
    }

    pub(crate) unsafe fn store(&self, at: usize, words: [u64; 4]) {
        assert_eq!(at % 8, 0);
        for (n, value) in words.into_iter().enumerate() {
            // SAFETY: loom checks that no one uses the cell meanwhile.
            self.words[at / 8 + n].with_mut(|word| unsafe { *word = value });
        }
    }

    pub(crate) unsafe fn copy_in(&self, at: usize, from: *const u8, len: usize) {
        for (n, cell) in self.bytes[at..at + len].iter().enumerate() {
            // SAFETY: `from` has `len` bytes; loom checks that no one uses the cell meanwhile.
            cell.with_mut(|byte| unsafe { *byte = *from.add(n) });
        }
    }

    pub(crate) unsafe fn copy_out(&self, at: usize, to: *mut u8, len: usize) {
        for (n, cell) in self.bytes[at..at + len].iter().enumerate() {
            // SAFETY: `to` has `len` bytes; loom checks that no one writes the cell meanwhile.
            cell.with(|byte| unsafe { *to.add(n) = *byte });
        }
    }
}
