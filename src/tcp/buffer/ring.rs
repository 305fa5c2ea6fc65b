//! A ring of bytes: received and not yet read, or written and not yet acknowledged.
//!
//! Owns the content and its position. Refuses to know the owner of the memory: it comes from the
//! pool and returns to it.

use super::class::FLOOR;
use super::pool::BufferPool;

/// A ring of bytes. Holds memory only while it stores something. Offsets count from the first
/// stored byte.
#[derive(Debug, Default)]
pub struct RingBuffer {
    /// Empty, or a power of two in length.
    memory: Box<[u8]>,
    head: u32,
    len: u32,
}

impl RingBuffer {
    /// Returns true if no byte is stored.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of bytes stored.
    #[inline]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Returns the number of bytes that the current memory can store.
    #[inline]
    pub const fn capacity(&self) -> u32 {
        self.memory.len() as u32
    }

    /// Grows the capacity to at least `bytes`. Moves the content and the bytes placed past its end.
    /// Returns false and leaves the ring unchanged when the pool has no memory.
    #[must_use = "without memory nothing can be stored"]
    pub fn ensure(&mut self, pool: &mut BufferPool, bytes: u32) -> bool {
        bytes <= self.capacity() || self.resize(pool, bytes)
    }

    /// Shrinks the capacity to the smallest class that holds `bytes`, which must cover the content
    /// and the bytes placed past its end.
    pub fn shrink(&mut self, pool: &mut BufferPool, bytes: u32) {
        debug_assert!(bytes >= self.len, "shrinking would lose content");
        if bytes.max(FLOOR).next_power_of_two() < self.capacity() {
            let _ = self.resize(pool, bytes.max(FLOOR));
        }
    }

    #[must_use]
    pub(in crate::tcp) fn resize(&mut self, pool: &mut BufferPool, bytes: u32) -> bool {
        let Some(mut memory) = pool.acquire_for(bytes, self.memory.len()) else { return false };
        let (first, second) = self.slices_unchecked(0, self.memory.len().min(memory.len()));
        memory[..first.len()].copy_from_slice(first);
        memory[first.len()..first.len() + second.len()].copy_from_slice(second);
        pool.release(core::mem::replace(&mut self.memory, memory));
        self.head = 0;
        true
    }

    /// Appends as much of `bytes` as fits; returns the number of bytes stored.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let stored = self.write_at(self.len, bytes);
        self.len += stored as u32;
        stored
    }

    /// Places `bytes` at `offset`, possibly past the end, without making them part of the content.
    /// Returns the number of bytes that fit below the capacity.
    #[inline]
    pub fn write_at(&mut self, offset: u32, bytes: &[u8]) -> usize {
        let room = self.memory.len().saturating_sub(offset as usize);
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() {
            return 0;
        }
        let start = self.position(offset);
        let (first, second) = bytes.split_at(bytes.len().min(self.memory.len() - start));
        self.memory[start..start + first.len()].copy_from_slice(first);
        self.memory[..second.len()].copy_from_slice(second);
        bytes.len()
    }

    /// Makes the next `n` bytes, placed by [`Self::write_at`], part of the content.
    #[inline]
    pub fn advance_len(&mut self, n: u32) {
        debug_assert!(n <= self.capacity() - self.len, "advance past the capacity");
        self.len = self.len.saturating_add(n).min(self.capacity());
    }

    /// Returns at most `len` bytes from `offset` in two slices.
    #[inline]
    pub fn slices(&self, offset: u32, len: u32) -> (&[u8], &[u8]) {
        let len = len.min(self.len.saturating_sub(offset));
        self.slices_unchecked(offset, len as usize)
    }

    /// Drops `n` bytes from the front.
    #[inline]
    pub fn consume(&mut self, n: u32) {
        let n = n.min(self.len);
        if n > 0 {
            self.head = self.position(n) as u32;
            self.len -= n;
        }
    }

    /// Returns the memory to the pool and discards the content.
    pub fn release(&mut self, pool: &mut BufferPool) {
        pool.release(core::mem::take(&mut self.memory));
        self.head = 0;
        self.len = 0;
    }

    /// Returns the index of `offset` in the memory, which must not be empty.
    #[inline]
    pub(in crate::tcp) fn position(&self, offset: u32) -> usize {
        (self.head as usize + offset as usize) & (self.memory.len() - 1)
    }

    fn slices_unchecked(&self, offset: u32, len: usize) -> (&[u8], &[u8]) {
        if len == 0 {
            return (&[], &[]);
        }
        let start = self.position(offset);
        let first = len.min(self.memory.len() - start);
        (&self.memory[start..start + first], &self.memory[..len - first])
    }
}
