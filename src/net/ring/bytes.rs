//! A ring of bytes with one writer and one reader: one direction of a connection.
//!
//! As the ring of entries, with a byte as the item: each call publishes by one store, and indices
//! of the other side are checked. Bytes are copied, never referenced.

use core::mem::MaybeUninit;

use super::cursor::{ConsumerCursor, Corrupt, ProducerCursor};
use super::region::{Region, RegionError, RingMemory};
use super::sync::Ordering;

/// The end of a byte ring that writes.
#[derive(Debug)]
pub struct Writer {
    memory: RingMemory,
    cursor: ProducerCursor,
}

/// The end of a byte ring that reads.
#[derive(Debug)]
pub struct Reader {
    memory: RingMemory,
    cursor: ConsumerCursor,
}

/// Makes a ring of `len` bytes in memory of its own and returns its two ends.
///
/// # Errors
///
/// [`RegionError::Length`] if `len` is not a power of two from 32 to 2^31, and
/// [`RegionError::Memory`].
pub fn byte_ring(len: usize) -> Result<(Writer, Reader), RegionError> {
    let region = Region::zeroed(RingMemory::bytes(len).ok_or(RegionError::Length { len })?)?;
    ends(&region, 0, len)
}

/// Returns the two ends of a ring of `len` bytes at `at`. The memory there is zeroed and has no
/// other use.
pub(super) fn ends(
    region: &Region,
    at: usize,
    len: usize,
) -> Result<(Writer, Reader), RegionError> {
    let (memory, other) = (region.ring(at, len)?, region.ring(at, len)?);
    let capacity = u32::try_from(len).map_err(|_| RegionError::Length { len })?;
    let writer = Writer { memory, cursor: ProducerCursor::new(capacity) };
    let reader = Reader { memory: other, cursor: ConsumerCursor::new(capacity) };
    Ok((writer, reader))
}

impl Writer {
    /// Appends bytes from the start of `bytes` as far as they fit, publishes them, and returns
    /// their number.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the reader lies; nothing is written then.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Corrupt> {
        if (self.cursor.room() as usize) < bytes.len() {
            self.room()?;
        }
        let count = bytes.len().min(self.cursor.room() as usize);
        if count > 0 {
            self.memory.copy_in(self.cursor.tail(), &bytes[..count]);
            // It fits: the room is 32 bits wide.
            self.cursor.advance(count as u32);
            // Release: the reader sees the bytes when it sees the index.
            self.memory.tail().store(self.cursor.tail(), Ordering::Release);
        }
        Ok(count)
    }

    /// Reads the reader's index and returns the number of bytes that can be written.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the reader lies.
    pub fn room(&mut self) -> Result<usize, Corrupt> {
        // Acquire: the reader copied the bytes before it freed their place.
        self.cursor.on_head(self.memory.head().load(Ordering::Acquire))?;
        Ok(self.cursor.room() as usize)
    }
}

impl Reader {
    /// Moves the oldest bytes to the start of `to`, as many as are known or fit, and returns their
    /// number. 0 means that the ring is empty, or `to` is; less than the length of `to` does not.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the writer lies; nothing is read then.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, Corrupt> {
        let count = self.peek(to)?;
        self.free(count);
        Ok(count)
    }

    /// Reads as [`Reader::read`] does into memory that need not be initialized. As many bytes as
    /// are returned are initialized, from the start of `to` on.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the writer lies; nothing is read then.
    pub fn read_into(&mut self, to: &mut [MaybeUninit<u8>]) -> Result<usize, Corrupt> {
        let known = self.known()?.min(to.len());
        let count = self.memory.copy_out(self.cursor.head(), &mut to[..known]);
        self.free(count);
        Ok(count)
    }

    /// Copies the oldest bytes to the start of `to`, leaves them in the ring, and returns their
    /// number, as [`Reader::read`] does.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the writer lies.
    pub fn peek(&mut self, to: &mut [u8]) -> Result<usize, Corrupt> {
        let known = self.known()?.min(to.len());
        Ok(self.memory.copy_out_over(self.cursor.head(), &mut to[..known]))
    }

    /// Removes the oldest `count` bytes or all of them, and returns their number.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the writer lies; nothing is removed then.
    pub fn consume(&mut self, count: usize) -> Result<usize, Corrupt> {
        if (self.cursor.ready() as usize) < count {
            self.readable()?;
        }
        let count = count.min(self.cursor.ready() as usize);
        self.free(count);
        Ok(count)
    }

    /// Reads the writer's index and returns the number of bytes that can be read.
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the writer lies.
    pub fn readable(&mut self) -> Result<usize, Corrupt> {
        // Acquire: the bytes are read after the index that published them.
        self.cursor.on_tail(self.memory.tail().load(Ordering::Acquire))?;
        Ok(self.cursor.ready() as usize)
    }

    /// Returns the number of bytes known to be there; reads the writer's index only if it is 0.
    fn known(&mut self) -> Result<usize, Corrupt> {
        match self.cursor.ready() {
            0 => self.readable(),
            known => Ok(known as usize),
        }
    }

    fn free(&mut self, count: usize) {
        if count > 0 {
            // It fits: at most the bytes of the ring, a number of 32 bits.
            self.cursor.advance(count as u32);
            // Release: the bytes are copied before the writer may write their place.
            self.memory.head().store(self.cursor.head(), Ordering::Release);
        }
    }
}

#[cfg(all(test, not(loom)))]
impl Writer {
    /// Writes a writer's index as a lying side would.
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
impl Reader {
    /// Writes a reader's index as a lying side would.
    pub(super) fn lie(&self, head: u32) {
        self.memory.head().store(head, Ordering::Release);
    }

    /// Moves the indices of an empty ring to `index`, as after a long life.
    pub(super) fn start_at(&mut self, index: u32) {
        self.cursor.start_at(index);
        self.memory.head().store(index, Ordering::Release);
    }
}
