//! A bounded ring of entries with one producer and one consumer.
//!
//! The entries of one batch are published by one store of the producer's index (release), which
//! the consumer reads (acquire) before the entries; the same holds for freed slots in the other
//! direction. Each side reads the other's index only when the last one it saw does not suffice.

use super::cursor::{ConsumerCursor, Corrupt, ProducerCursor};
use super::entry::Entry;
use super::region::{ENTRY, Region, RegionError, RingMemory};
use super::sync::Ordering;

/// A cause for which an entry was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The consumer has to take entries first.
    #[error("the ring is full; try again after the other side took entries")]
    Full,
    /// The consumer's index is a lie.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

/// The end of a ring that produces entries.
#[derive(Debug)]
pub struct Producer {
    memory: RingMemory,
    cursor: ProducerCursor,
}

/// The end of a ring that consumes entries.
#[derive(Debug)]
pub struct Consumer {
    memory: RingMemory,
    cursor: ConsumerCursor,
}

/// Makes a ring of `capacity` entries in memory of its own and returns its two ends.
///
/// # Errors
///
/// [`RegionError::Length`] if `capacity` is not a power of two from 1 to 2^26, and
/// [`RegionError::Memory`].
pub fn entry_ring(capacity: u32) -> Result<(Producer, Consumer), RegionError> {
    let region = Region::zeroed(bytes(capacity)?)?;
    ends(&region, 0, capacity)
}

/// Returns the length of the memory of a ring of `capacity` entries.
pub(super) fn bytes(capacity: u32) -> Result<usize, RegionError> {
    let len = (capacity as usize).saturating_mul(ENTRY);
    RingMemory::bytes(len).ok_or(RegionError::Length { len })
}

/// Returns the two ends of a ring of `capacity` entries at `at`. The memory there is zeroed and has
/// no other use.
pub(super) fn ends(
    region: &Region,
    at: usize,
    capacity: u32,
) -> Result<(Producer, Consumer), RegionError> {
    let body = (capacity as usize).saturating_mul(ENTRY);
    let producer =
        Producer { memory: region.ring(at, body)?, cursor: ProducerCursor::new(capacity) };
    let consumer =
        Consumer { memory: region.ring(at, body)?, cursor: ConsumerCursor::new(capacity) };
    Ok((producer, consumer))
}

impl Producer {
    /// Appends and publishes an entry.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`], and [`PushError::Corrupt`] if the consumer lies.
    pub fn push(&mut self, entry: Entry) -> Result<(), PushError> {
        if self.cursor.room() == 0 && self.room()? == 0 {
            return Err(PushError::Full);
        }
        self.memory.store_entry(self.cursor.tail(), entry.into());
        self.publish(1);
        Ok(())
    }

    /// Appends entries from the start of `entries` as far as they fit, publishes them together, and
    /// returns their number.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the consumer lies; no entry is appended then.
    pub fn push_batch(&mut self, entries: &[Entry]) -> Result<usize, Corrupt> {
        if (self.cursor.room() as usize) < entries.len() {
            self.room()?;
        }
        // The minimum fits: the first number is 32 bits wide.
        let count = (self.cursor.room() as usize).min(entries.len()) as u32;
        for (n, &entry) in (0..count).zip(entries) {
            self.memory.store_entry(self.cursor.tail().wrapping_add(n), entry.into());
        }
        if count > 0 {
            self.publish(count);
        }
        Ok(count as usize)
    }

    /// Reads the consumer's index and returns the number of free slots.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the consumer lies.
    pub fn room(&mut self) -> Result<u32, Corrupt> {
        // Acquire: the consumer read the slots before it freed them.
        self.cursor.on_head(self.memory.head().load(Ordering::Acquire))?;
        Ok(self.cursor.room())
    }

    fn publish(&mut self, count: u32) {
        self.cursor.advance(count);
        // Release: the consumer sees the entries when it sees the index.
        self.memory.tail().store(self.cursor.tail(), Ordering::Release);
    }
}

impl Consumer {
    /// Removes the oldest entry and frees its slot; `None` if the ring is empty.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the producer lies.
    pub fn pop(&mut self) -> Result<Option<Entry>, Corrupt> {
        if self.cursor.ready() == 0 && self.ready()? == 0 {
            return Ok(None);
        }
        let entry = Entry::from(self.memory.load_entry(self.cursor.head()));
        self.free(1);
        Ok(Some(entry))
    }

    /// Moves the oldest entries to the start of `entries`, as many as are known or fit, frees their
    /// slots together, and returns their number. 0 means that the ring is empty; less than the
    /// length of `entries` does not.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the producer lies; no entry is removed then.
    pub fn pop_batch(&mut self, entries: &mut [Entry]) -> Result<usize, Corrupt> {
        if self.cursor.ready() == 0 {
            self.ready()?;
        }
        // The minimum fits: the first number is 32 bits wide.
        let count = (self.cursor.ready() as usize).min(entries.len()) as u32;
        for (n, entry) in (0..count).zip(entries) {
            *entry = Entry::from(self.memory.load_entry(self.cursor.head().wrapping_add(n)));
        }
        if count > 0 {
            self.free(count);
        }
        Ok(count as usize)
    }

    /// Reads the producer's index and returns the number of entries in the ring.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the producer lies.
    pub fn ready(&mut self) -> Result<u32, Corrupt> {
        // Acquire: the entries are read after the index that published them.
        self.cursor.on_tail(self.memory.tail().load(Ordering::Acquire))?;
        Ok(self.cursor.ready())
    }

    fn free(&mut self, count: u32) {
        self.cursor.advance(count);
        // Release: the entries are copied before the producer may write the slots.
        self.memory.head().store(self.cursor.head(), Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
impl Producer {
    /// Writes a producer's index as a lying side would.
    pub(super) fn lie(&self, tail: u32) {
        self.memory.tail().store(tail, Ordering::Release);
    }

    /// Moves the indices of an empty ring to `index`, as after a long life.
    pub(super) fn start_at(&mut self, index: u32) {
        self.cursor.start_at(index);
        self.memory.tail().store(index, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
impl Consumer {
    /// Writes a consumer's index as a lying side would.
    pub(super) fn lie(&self, head: u32) {
        self.memory.head().store(head, Ordering::Release);
    }

    /// Moves the indices of an empty ring to `index`, as after a long life.
    pub(super) fn start_at(&mut self, index: u32) {
        self.cursor.start_at(index);
        self.memory.head().store(index, Ordering::Release);
    }
}
