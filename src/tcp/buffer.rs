//! Bytes waiting: ring buffers of power-of-two sizes, and the pool they come from and go back to.
//!
//! A ring owns no memory while it has nothing to hold, so that an idle connection costs none. The pool
//! owns the sum: what is lent out and what rests on its free lists never pass the limit together.

use super::flight::FlightPool;

#[cfg(test)]
mod tests;

/// The smallest class: a request, or one full segment. Smaller, and a single MSS would need two steps.
const CLASS_SHIFT_MIN: u32 = 11;
/// The largest class, 16 MiB: a 10 Gbit/s path of 13 ms in one connection.
const CLASS_SHIFT_MAX: u32 = 24;
const CLASSES: usize = (CLASS_SHIFT_MAX - CLASS_SHIFT_MIN + 1) as usize;

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
        if bytes <= self.capacity() {
            return true;
        }
        let Some(mut memory) = pool.acquire(bytes) else { return false };
        let (first, second) = self.runs(0, self.memory.len());
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
    fn position(&self, offset: u32) -> usize {
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

/// The memory of a shard's buffers, in classes of powers of two, within a limit. Once a class is warm
/// nothing is allocated: buffers move between their owners and the free lists.
#[derive(Debug)]
pub struct BufferPool {
    classes: [Class; CLASSES],
    limit: usize,
    /// Bytes lent out.
    in_use: usize,
    /// Bytes on the free lists.
    resting: usize,
    /// Beside the buffers: what connections with data in flight are lent.
    pub(super) flights: FlightPool,
}

#[derive(Debug, Default)]
struct Class {
    free: Vec<Box<[u8]>>,
    /// Buffers of this class that exist, lent out or resting: `free` has room for all of them, so that
    /// giving one back never allocates.
    count: usize,
}

impl BufferPool {
    /// A pool of at most `limit` bytes, none of them allocated yet.
    pub fn new(limit: usize) -> Self {
        Self {
            classes: core::array::from_fn(|_| Class::default()),
            limit,
            in_use: 0,
            resting: 0,
            flights: FlightPool::default(),
        }
    }

    /// A buffer of the smallest class that holds `min` bytes, its content arbitrary. `None` above the
    /// largest class or at the limit.
    pub fn acquire(&mut self, min: u32) -> Option<Box<[u8]>> {
        let index = class_of(min)?;
        let bytes = class_bytes(index);
        if let Some(memory) = self.classes[index].free.pop() {
            self.resting -= bytes;
            self.in_use += bytes;
            return Some(memory);
        }
        if !self.make_room(bytes) {
            return None;
        }
        let class = &mut self.classes[index];
        class.count += 1;
        class.free.reserve(class.count);
        self.in_use += bytes;
        Some(vec![0; bytes].into_boxed_slice())
    }

    /// Takes a buffer back. One that is no class of ours (an empty one, say) is simply dropped.
    pub fn release(&mut self, memory: Box<[u8]>) {
        let bytes = memory.len();
        let Some(index) = u32::try_from(bytes).ok().and_then(class_of) else { return };
        if bytes != class_bytes(index) {
            return;
        }
        self.in_use = self.in_use.saturating_sub(bytes);
        self.resting += bytes;
        self.classes[index].free.push(memory);
    }

    /// Bytes lent out.
    pub const fn in_use(&self) -> usize {
        self.in_use
    }

    /// Bytes held in all: lent out and resting on the free lists.
    pub const fn held(&self) -> usize {
        self.in_use + self.resting
    }

    /// The most that may be held.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Lets `bytes` be allocated within the limit, freeing what rests in other classes if it must: else
    /// a shard that once moved bulk would refuse small buffers for good.
    #[must_use]
    fn make_room(&mut self, bytes: usize) -> bool {
        if self.in_use.saturating_add(bytes) > self.limit {
            return false;
        }
        // The largest first: the fewest steps, and the least likely to be missed.
        for index in (0..CLASSES).rev() {
            while self.held() + bytes > self.limit {
                let class = &mut self.classes[index];
                if class.free.pop().is_none() {
                    break;
                }
                class.count -= 1;
                self.resting -= class_bytes(index);
            }
        }
        true
    }
}

/// The smallest class that holds `bytes`.
const fn class_of(bytes: u32) -> Option<usize> {
    if bytes == 0 || bytes > 1 << CLASS_SHIFT_MAX {
        return None;
    }
    let shift = bytes.next_power_of_two().trailing_zeros();
    Some(shift.saturating_sub(CLASS_SHIFT_MIN) as usize)
}

const fn class_bytes(index: usize) -> usize {
    1 << (index + CLASS_SHIFT_MIN as usize)
}
