//! The flow table: one hash table of 8-byte slots for embryos, connections and TIME-WAIT entries.
//!
//! A bucket is one cache line of eight slots, so a lookup costs one cache miss, which
//! [`prefetch`](FlowTable::prefetch) takes ahead of time for a whole batch. A slot stores 24 bits
//! of the hash, the number of the local address, and the kind and index of the entity. The entity
//! stores the rest of the key, and the caller compares it: the table only returns candidates.
//!
//! Owns no keys and refuses to know them: removal and replacement take the same hash again. Its
//! size is fixed at the start, for a load of at most 0.7.
//!
//! A flow whose home bucket is full overflows into the next bucket with room, and every bucket that
//! it passes counts it. A lookup continues to the next bucket only while that count is not zero, so
//! the unknown flows of a SYN flood also cost one line each. The count's eight bits are the spare
//! bits of the eight slots.

use crate::shard::mem::pages;
use crate::shard::mem::processor::{equal_to, highest_bits, prefetch};

/// Slots per bucket: one cache line.
const SLOTS: usize = 8;

/// Average entries per bucket of a full table, times ten: a load of 0.7. With a higher load more
/// flows live outside their home bucket (a second miss); with a lower one the table falls out of
/// the cache.
const ENTRIES_PER_BUCKET_TENTHS: usize = 56;

const INDEX_BITS: u32 = 28;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Spare bit of each slot. Together they are the bucket's count of flows that passed it.
const PASSED_BIT: u32 = 1 << 31;
/// Saturated count, which never decreases. A lookup may then go one bucket too far, but never stops
/// too early.
const PASSED_MAX: u8 = u8::MAX;

/// Kind of a slot's entity. Three bits in the table, where 0 is an empty slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An embryo.
    Embryo = 1,
    /// A connection.
    Connection = 2,
    /// A TIME-WAIT entry of a connection without timestamps.
    TimeWait = 3,
    /// A TIME-WAIT entry of a connection with timestamps.
    TimeWaitTimestamps = 4,
}

impl Kind {
    /// Returns true for both kinds of TIME-WAIT.
    pub const fn is_time_wait(self) -> bool {
        matches!(self, Self::TimeWait | Self::TimeWaitTimestamps)
    }
}

/// Location of an entity: its table and its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Kind of the entity, which selects the table.
    pub kind: Kind,
    /// Index in the table of that kind.
    pub index: u32,
}

impl Place {
    /// Creates the location of the entity of `kind` at `index`.
    #[inline]
    pub const fn new(kind: Kind, index: u32) -> Self {
        Self { kind, index }
    }

    #[inline]
    const fn pack(self) -> u32 {
        (self.kind as u32) << INDEX_BITS | (self.index & INDEX_MASK)
    }

    #[inline]
    const fn unpack(packed: u32) -> Option<Self> {
        let kind = match (packed & !PASSED_BIT) >> INDEX_BITS {
            1 => Kind::Embryo,
            2 => Kind::Connection,
            3 => Kind::TimeWait,
            4 => Kind::TimeWaitTimestamps,
            _ => return None,
        };
        Some(Self { kind, index: packed & INDEX_MASK })
    }
}

/// Result of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Inserted {
    /// The entry is in the table.
    Done,
    /// The table is at its capacity.
    Full,
}

/// Result of looking for an entry to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Found {
    /// The entry was found and changed.
    Yes,
    /// The entry was not found; nothing changed.
    No,
}

/// One cache line. `heads` holds tag and local address, `places` the packed [`Place`] and one bit
/// of the count. They are separate arrays so that one comparison covers all eight heads.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    heads: [u32; SLOTS],
    places: [u32; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    const EMPTY: Self = Self { heads: [0; SLOTS], places: [0; SLOTS] };

    /// Returns a mask of the slots whose head is `head`. It may include an empty slot.
    #[inline(always)]
    fn matches(&self, head: u32) -> u32 {
        equal_to(&self.heads, 0, head)
    }

    /// Returns the number of flows that passed the bucket, at most [`PASSED_MAX`].
    #[inline(always)]
    fn passed(&self) -> u8 {
        highest_bits(&self.places) as u8
    }

    #[inline(always)]
    fn was_passed(&self) -> bool {
        self.passed() != 0
    }

    #[inline(always)]
    fn vacant(&self) -> Option<usize> {
        self.holding(0)
    }

    /// Returns the slot that holds exactly this packed place.
    #[inline(always)]
    fn holding(&self, packed: u32) -> Option<usize> {
        let slots = equal_to(&self.places, PASSED_BIT, packed);
        (slots != 0).then(|| slots.trailing_zeros() as usize % SLOTS)
    }

    /// Fills or empties a slot, keeping the slot's bit of the count.
    #[inline]
    fn set(&mut self, slot: usize, head: u32, packed: u32) {
        self.heads[slot] = head;
        self.places[slot] = packed | (self.places[slot] & PASSED_BIT);
    }

    fn set_passed(&mut self, count: u8) {
        for (slot, place) in self.places.iter_mut().enumerate() {
            let bit = if count >> slot & 1 == 1 { PASSED_BIT } else { 0 };
            *place = *place & !PASSED_BIT | bit;
        }
    }
}

/// The flow table.
pub struct FlowTable {
    buckets: Box<[Bucket]>,
    len: usize,
    capacity: usize,
}

impl FlowTable {
    /// Creates a table for `capacity` flows of all kinds.
    pub fn new(capacity: usize) -> Self {
        // The low half of the hash is enough to choose the bucket: 2^32 buckets would be 2^38
        // bytes.
        let buckets =
            (capacity.max(1) * 10).div_ceil(ENTRIES_PER_BUCKET_TENTHS).next_power_of_two();
        Self { buckets: pages::filled(buckets, Bucket::EMPTY).into_boxed_slice(), len: 0, capacity }
    }

    /// Returns the number of flows in the table.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns true if the table is empty.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes of memory that the table occupies.
    pub const fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>()
    }

    /// Prefetches the bucket of `hash`.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.buckets[self.home(hash)]);
    }

    /// Returns the first candidate for a flow with this hash at local address number `local`.
    #[inline]
    pub fn candidate(&self, hash: u64, local: u8) -> Option<Place> {
        let bucket = &self.buckets[self.home(hash)];
        let matches = bucket.matches(head(hash, local));
        // Branch only on the rare case: the presence and the kind of a candidate are unpredictable.
        let slot = matches.trailing_zeros() as usize % SLOTS;
        let found = Place::unpack(bucket.places[slot]).filter(|_| matches != 0);
        let elsewhere = (matches == 0) & bucket.was_passed() | (matches != 0) & found.is_none();
        if elsewhere { self.candidates(hash, local).next() } else { found }
    }

    /// Returns all candidates in turn, for when the first is a different flow.
    #[inline]
    pub fn candidates(&self, hash: u64, local: u8) -> Candidates<'_> {
        let bucket = self.home(hash);
        let head = head(hash, local);
        let pending = self.buckets[bucket].matches(head);
        Candidates { table: self, bucket, head, pending, left: self.buckets.len() }
    }

    /// Inserts a flow. The caller ensures that the flow is not in the table yet.
    pub fn insert(&mut self, hash: u64, local: u8, place: Place) -> Inserted {
        if self.len >= self.capacity {
            return Inserted::Full;
        }
        let mut bucket = self.home(hash);
        // A vacant slot exists, since the table is larger than its capacity.
        let slot = loop {
            if let Some(slot) = self.buckets[bucket].vacant() {
                break slot;
            }
            let passed = self.buckets[bucket].passed();
            self.buckets[bucket].set_passed(passed.saturating_add(1));
            bucket = self.after(bucket);
        };
        self.buckets[bucket].set(slot, head(hash, local), place.pack());
        self.len += 1;
        Inserted::Done
    }

    /// Removes a flow. Needs only the low half of the hash.
    pub fn remove(&mut self, hash: u64, place: Place) -> Found {
        let Some((end, slot)) = self.find(hash, place) else { return Found::No };
        self.buckets[end].set(slot, 0, 0);
        let mut bucket = self.home(hash);
        while bucket != end {
            let passed = self.buckets[bucket].passed();
            if passed != PASSED_MAX {
                self.buckets[bucket].set_passed(passed - 1);
            }
            bucket = self.after(bucket);
        }
        self.len -= 1;
        Found::Yes
    }

    /// Points a flow's slot to another entity: an embryo became a connection, a connection entered
    /// TIME-WAIT, an entry moved. Needs only the low half of the hash.
    pub fn replace(&mut self, hash: u64, from: Place, to: Place) -> Found {
        let Some((bucket, slot)) = self.find(hash, from) else { return Found::No };
        let head = self.buckets[bucket].heads[slot];
        self.buckets[bucket].set(slot, head, to.pack());
        Found::Yes
    }

    /// Returns true if the table is as empty as a new one, counts included.
    #[cfg(test)]
    pub(in crate::shard) fn is_pristine(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.places == [0; SLOTS])
    }

    fn find(&self, hash: u64, place: Place) -> Option<(usize, usize)> {
        let packed = place.pack();
        let mut bucket = self.home(hash);
        for _ in 0..self.buckets.len() {
            if let Some(slot) = self.buckets[bucket].holding(packed) {
                return Some((bucket, slot));
            }
            if !self.buckets[bucket].was_passed() {
                return None;
            }
            bucket = self.after(bucket);
        }
        None
    }

    /// The low bits choose the bucket, the high bits are the tag. Steering uses bits in between.
    #[inline]
    const fn home(&self, hash: u64) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    #[inline]
    const fn after(&self, bucket: usize) -> usize {
        (bucket + 1) & (self.buckets.len() - 1)
    }
}

#[inline]
const fn head(hash: u64, local: u8) -> u32 {
    (hash >> 40) as u32 | (local as u32) << 24
}

/// Iterator over the candidates for a flow, usually one or none.
pub struct Candidates<'a> {
    table: &'a FlowTable,
    bucket: usize,
    head: u32,
    pending: u32,
    left: usize,
}

impl Iterator for Candidates<'_> {
    type Item = Place;

    #[inline]
    fn next(&mut self) -> Option<Place> {
        loop {
            let bucket = &self.table.buckets[self.bucket];
            while self.pending != 0 {
                let slot = self.pending.trailing_zeros() as usize;
                self.pending &= self.pending - 1;
                if let Some(place) = Place::unpack(bucket.places[slot % SLOTS]) {
                    return Some(place);
                }
            }
            self.left -= 1;
            if self.left == 0 || !bucket.was_passed() {
                self.left = 1;
                return None;
            }
            self.bucket = self.table.after(self.bucket);
            self.pending = self.table.buckets[self.bucket].matches(self.head);
        }
    }
}
