//! The memory itself, in classes of powers of two.

use super::accounts::Accounts;
use super::class::{CLASSES, class_bytes, class_of};
use super::tuning::Tuners;
use crate::tcp::flight::FlightPool;

/// The memory of a shard's buffers, in classes of powers of two, within a limit. Once a class is warm
/// nothing is allocated: buffers move between their owners and the free lists.
#[derive(Debug)]
pub struct BufferPool {
    pub(in crate::tcp) classes: [Class; CLASSES],
    /// Bytes lent out.
    in_use: usize,
    /// Bytes on the free lists.
    resting: usize,
    /// Who may have how much.
    pub(in crate::tcp) accounts: Accounts,
    /// Beside the buffers: what connections with data in flight are lent.
    pub(in crate::tcp) flights: FlightPool,
    /// And what those are lent whose receive windows grow.
    pub(in crate::tcp) tuners: Tuners,
}

#[derive(Debug, Default)]
pub(in crate::tcp) struct Class {
    pub(in crate::tcp) free: Vec<Box<[u8]>>,
    /// Buffers of this class that exist, lent out or resting: `free` has room for all of them, so that
    /// giving one back never allocates.
    count: usize,
}

impl BufferPool {
    /// A pool of at most `limit` bytes, none of them allocated yet.
    pub fn new(limit: usize) -> Self {
        Self {
            classes: core::array::from_fn(|_| Class::default()),
            in_use: 0,
            resting: 0,
            accounts: Accounts::new(limit),
            flights: FlightPool::default(),
            tuners: Tuners::default(),
        }
    }

    /// A buffer of the smallest class that holds `min` bytes, its content arbitrary. `None` above the
    /// largest class or at the limit.
    pub fn acquire(&mut self, min: u32) -> Option<Box<[u8]>> {
        self.acquire_for(min, 0)
    }

    /// The same for an owner that gives `back` bytes in exchange: only while it moves does it hold both, and
    /// for that moment the limit may be passed by the smaller of the two.
    pub(in crate::tcp) fn acquire_for(&mut self, min: u32, back: usize) -> Option<Box<[u8]>> {
        let index = class_of(min)?;
        let bytes = class_bytes(index);
        if self.in_use.saturating_sub(back) + bytes > self.limit() {
            return None;
        }
        if let Some(memory) = self.classes[index].free.pop() {
            self.resting -= bytes;
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

    /// Takes a buffer back. One that is no class of ours (an empty one, say) is simply dropped.
    pub fn release(&mut self, memory: Box<[u8]>) {
        let bytes = memory.len();
        let Some(index) = u32::try_from(bytes).ok().and_then(class_of) else { return };
        if bytes != class_bytes(index) {
            return;
        }
        self.in_use = self.in_use.saturating_sub(bytes);
        if self.held() + bytes > self.limit() {
            // The limit fell, or what took its place is larger.
            self.classes[index].count = self.classes[index].count.saturating_sub(1);
            return;
        }
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
        self.accounts.limit()
    }

    /// What a connection may be told of without a promise; see [`Accounts`].
    #[inline]
    pub const fn credit(&self) -> u32 {
        self.accounts.credit()
    }

    /// Windows raised, windows lowered, and times that there was no memory, since the last call, if there were
    /// any.
    #[inline]
    pub const fn take_counts(&mut self) -> Option<(u64, u64, u64)> {
        self.accounts.take_counts()
    }

    /// Every connection was told that there is memory again.
    pub const fn reopened(&mut self) {
        self.accounts.reopened();
    }

    /// Who has how much.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Changes the limit. What is lent out or promised past a lower one stays so until it is given back.
    pub fn set_limit(&mut self, limit: usize) {
        self.accounts.set_limit(limit);
        self.make_room(0);
    }

    /// Frees what rests, as far as it must for `bytes` more to be allocated within the limit: else a shard
    /// that once moved bulk would refuse small buffers for good.
    fn make_room(&mut self, bytes: usize) {
        // The largest first: the fewest steps, and the least likely to be missed.
        for index in (0..CLASSES).rev() {
            while self.held() + bytes > self.limit() {
                let class = &mut self.classes[index];
                if class.free.pop().is_none() {
                    break;
                }
                class.count -= 1;
                self.resting -= class_bytes(index);
            }
        }
    }
}
