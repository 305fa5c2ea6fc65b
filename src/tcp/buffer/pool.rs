//! Buffer memory in power-of-two classes.

use super::accounts::Accounts;
use super::class::{CLASSES, class_bytes, class_of};
use super::tuning::Tuners;
use crate::tcp::flight::FlightPool;

/// The memory of a shard's buffers, in power-of-two classes, within a limit. A warm class allocates
/// nothing: buffers move between their owners and the free lists.
#[derive(Debug)]
pub struct BufferPool {
    pub(in crate::tcp) classes: [Class; CLASSES],
    /// Bytes in use by rings.
    in_use: usize,
    /// Bytes on the free lists.
    on_free_lists: usize,
    /// The shares of the connections.
    pub(in crate::tcp) accounts: Accounts,
    /// Records of data in flight, which connections borrow.
    pub(in crate::tcp) flights: FlightPool,
    /// Receive window tuners of connections in bulk transfer.
    pub(in crate::tcp) tuners: Tuners,
}

#[derive(Debug, Default)]
pub(in crate::tcp) struct Class {
    pub(in crate::tcp) free: Vec<Box<[u8]>>,
    /// Number of buffers of this class, in use or free. `free` has room for all of them, so
    /// releasing a buffer never allocates.
    count: usize,
}

impl BufferPool {
    /// Creates a pool of at most `limit` bytes with nothing allocated.
    pub fn new(limit: usize) -> Self {
        Self {
            classes: core::array::from_fn(|_| Class::default()),
            in_use: 0,
            on_free_lists: 0,
            accounts: Accounts::new(limit),
            flights: FlightPool::default(),
            tuners: Tuners::default(),
        }
    }

    /// Returns a buffer of the smallest class that holds `min` bytes, with arbitrary content. None
    /// above the largest class or at the limit.
    pub fn acquire(&mut self, min: u32) -> Option<Box<[u8]>> {
        self.acquire_for(min, 0)
    }

    /// Like [`Self::acquire`] for an owner that releases `back` bytes in exchange. The owner holds
    /// both buffers only while it copies; during that time the pool may exceed the limit by the
    /// smaller of the two.
    pub(in crate::tcp) fn acquire_for(&mut self, min: u32, back: usize) -> Option<Box<[u8]>> {
        let index = class_of(min)?;
        let bytes = class_bytes(index);
        if self.in_use.saturating_sub(back) + bytes > self.limit() {
            return None;
        }
        if let Some(memory) = self.classes[index].free.pop() {
            self.on_free_lists -= bytes;
            self.in_use += bytes;
            return Some(memory);
        }
        self.make_room(bytes);
        let class = &mut self.classes[index];
        class.count += 1;
        class.free.reserve(class.count);
        self.in_use += bytes;
        Some(vec![0; bytes].into_boxed_slice())
    }

    /// Returns a buffer to the pool. Drops a buffer whose size is no class, such as an empty one.
    pub fn release(&mut self, memory: Box<[u8]>) {
        let bytes = memory.len();
        let Some(index) = u32::try_from(bytes).ok().and_then(class_of) else { return };
        if bytes != class_bytes(index) {
            return;
        }
        self.in_use = self.in_use.saturating_sub(bytes);
        if self.held() + bytes > self.limit() {
            // The limit has been lowered, or the buffer was exchanged for a larger one.
            self.classes[index].count = self.classes[index].count.saturating_sub(1);
            return;
        }
        self.on_free_lists += bytes;
        self.classes[index].free.push(memory);
    }

    /// Returns the bytes in use by rings.
    pub const fn in_use(&self) -> usize {
        self.in_use
    }

    /// Returns the total bytes held: in use and on the free lists.
    pub const fn held(&self) -> usize {
        self.in_use + self.on_free_lists
    }

    /// Returns the limit in bytes.
    pub const fn limit(&self) -> usize {
        self.accounts.limit()
    }

    /// Returns the largest window that a connection without a promise may advertise; see
    /// [`Accounts`].
    #[inline]
    pub const fn credit(&self) -> u32 {
        self.accounts.credit()
    }

    /// Returns windows raised, windows lowered and refusals since the last call, or None if all are
    /// 0.
    #[inline]
    pub const fn take_counts(&mut self) -> Option<(u64, u64, u64)> {
        self.accounts.take_counts()
    }

    /// Records that every connection has been notified that memory is available.
    pub const fn reopened(&mut self) {
        self.accounts.reopened();
    }

    /// Returns the accounts of the pool.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Changes the limit. Memory in use or promised above a lower limit stays so until it is
    /// released.
    pub fn set_limit(&mut self, limit: usize) {
        self.accounts.set_limit(limit);
        self.make_room(0);
    }

    /// Frees buffers on the free lists until `bytes` more fit within the limit. Without this, a
    /// shard that once moved bulk data would refuse small buffers forever.
    fn make_room(&mut self, bytes: usize) {
        // Largest class first: fewest steps, and the least likely to be needed soon.
        for index in (0..CLASSES).rev() {
            while self.held() + bytes > self.limit() {
                let class = &mut self.classes[index];
                if class.free.pop().is_none() {
                    break;
                }
                class.count -= 1;
                self.on_free_lists -= class_bytes(index);
            }
        }
    }
}
