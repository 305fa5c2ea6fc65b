//! A ring of bytes: what was received and not read, or written and not acknowledged.
//!
//! Owns the content and where it begins. Refuses to know whose memory it is: that comes from the pool and
//! goes back to it.

use super::class::FLOOR;
use super::pool::BufferPool;

/// A ring of bytes. Holds memory only while it has something to hold. Offsets count from the first
/// stored byte.
#[derive(Debug, Default)]
pub struct RingBuffer {
    /// Empty, or a power of two.
    memory: Box<[u8]>,
    head: u32,
    len: u32,
}

impl RingBuffer {
    /// Whether no byte is stored.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes stored.
    #[inline]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Bytes that fit into the memory held now.
    #[inline]
    pub const fn capacity(&self) -> u32 {
        self.memory.len() as u32
    }

    /// Makes the capacity at least `bytes`, moving what is stored, bytes placed past the end included.
    /// False, with the content as it was, when the pool has no more.
    #[must_use = "without memory nothing can be stored"]
    pub fn ensure(&mut self, pool: &mut BufferPool, bytes: u32) -> bool {
        bytes <= self.capacity() || self.resize(pool, bytes)
    }

    /// Makes the capacity as small as it can be for `bytes`, which must cover what is stored and what is placed
    /// past the end.
    pub fn shrink(&mut self, pool: &mut BufferPool, bytes: u32) {
        debug_assert!(bytes >= self.len, "what is stored would be lost");
        if bytes.max(FLOOR).next_power_of_two() < self.capacity() {
            let _ = self.resize(pool, bytes.max(FLOOR));
        }
    }

    #[must_use]
    pub(in crate::tcp) fn resize(&mut self, pool: &mut BufferPool, bytes: u32) -> bool {
        let Some(mut memory) = pool.acquire_for(bytes, self.memory.len()) else { return false };
        let (first, second) = self.runs(0, self.memory.len().min(memory.len()));
        memory[..first.len()].copy_from_slice(first);
        memory[first.len()..first.len() + second.len()].copy_from_slice(second);
        pool.release(core::mem::replace(&mut self.memory, memory));
        self.head = 0;
        true
    }

    /// Appends as much of `bytes` as fits; returns how much.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let stored = self.write_at(self.len, bytes);
        self.len += stored as u32;
        stored
    }

    /// Places `bytes` at `offset`, also past the end, without making them part of the content; returns
    /// how many fit below the capacity.
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
        debug_assert!(n <= self.capacity() - self.len, "advanced over bytes that have no place");
        self.len = self.len.saturating_add(n).min(self.capacity());
    }

    /// The bytes from `offset`, at most `len` of them, in two runs.
    #[inline]
    pub fn slices(&self, offset: u32, len: u32) -> (&[u8], &[u8]) {
        let len = len.min(self.len.saturating_sub(offset));
        self.runs(offset, len as usize)
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

    /// Gives the memory back; the content is lost.
    pub fn release(&mut self, pool: &mut BufferPool) {
        pool.release(core::mem::take(&mut self.memory));
        self.head = 0;
        self.len = 0;
    }

    /// Where `offset` lies in the memory, which must not be empty.
    #[inline]
    pub(in crate::tcp) fn position(&self, offset: u32) -> usize {
        (self.head as usize + offset as usize) & (self.memory.len() - 1)
    }

    fn runs(&self, offset: u32, len: usize) -> (&[u8], &[u8]) {
        if len == 0 {
            return (&[], &[]);
        }
        let start = self.position(offset);
        let first = len.min(self.memory.len() - start);
        (&self.memory[start..start + first], &self.memory[..len - first])
    }
}
