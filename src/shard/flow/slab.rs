//! A slab of fixed capacity, indexed by number. A handle carries the generation of its entry, so a
//! stale handle finds nothing.
//!
//! Memory is reserved at the start and first touched when used. The most recently freed entry is
//! reused first, since it is the most likely to be in the cache. Items start at a cache line.

use crate::shard::flow::id::ConnId;
use crate::shard::mem::pages;
use crate::shard::mem::processor::prefetch_all;

/// One entry. The item comes first, so that its hot part shares the first lines with nothing else.
/// The generation fills padding if the item leaves 4 bytes of its last line.
#[repr(C, align(64))]
struct Entry<T> {
    item: Option<T>,
    generation: u32,
}

/// The slab.
pub(crate) struct Slab<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    capacity: usize,
}

impl<T> Slab<T> {
    /// Bytes of memory per item.
    #[cfg(test)]
    pub(crate) const ENTRY_BYTES: usize = size_of::<Entry<T>>();

    /// Creates a slab for `capacity` items (fewer than 2^28, the limit of the flow table's index).
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.min((1 << 28) - 1);
        Self { entries: pages::reserve(capacity), free: Vec::with_capacity(capacity), capacity }
    }

    /// Returns the number of items.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Returns true if the slab is full.
    pub(crate) const fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// Inserts an item.
    ///
    /// # Errors
    /// Returns the item if the slab is full.
    pub(crate) fn insert(&mut self, item: T) -> Result<ConnId, T> {
        if self.is_full() { Err(item) } else { Ok(self.insert_with(|| item)) }
    }

    /// Inserts an item that `make` constructs in place.
    ///
    /// # Panics
    /// Panics if the slab is full.
    #[inline(always)]
    pub(crate) fn insert_with(&mut self, make: impl FnOnce() -> T) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            assert!(self.entries.len() < self.capacity, "the slab has room for one more");
            self.entries.push(Entry { item: None, generation: 0 });
            self.entries.len() as u32 - 1
        });
        let entry = &mut self.entries[index as usize];
        entry.item = Some(make());
        ConnId { index, generation: entry.generation }
    }

    /// Removes an item by its index. Its handles become stale.
    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let entry = self.entries.get_mut(index as usize)?;
        let item = entry.item.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(index);
        Some(item)
    }

    /// Drops the item at an index in place. Its handles become stale.
    pub(crate) fn discard(&mut self, index: u32) {
        if let Some(entry) = self.entries.get_mut(index as usize)
            && entry.item.is_some()
        {
            entry.item = None;
            entry.generation = entry.generation.wrapping_add(1);
            self.free.push(index);
        }
    }

    /// Returns the item of a handle.
    #[inline]
    pub(crate) fn get(&self, id: ConnId) -> Option<&T> {
        let entry = self.entries.get(id.index as usize)?;
        if entry.generation == id.generation { entry.item.as_ref() } else { None }
    }

    /// Returns the item of a handle for modification.
    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        if entry.generation == id.generation { entry.item.as_mut() } else { None }
    }

    /// Returns the item at an index that is known to be current, such as one from the flow table.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.entries.get(index as usize)?.item.as_ref()
    }

    /// Returns the item at an index for modification.
    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.entries.get_mut(index as usize)?.item.as_mut()
    }

    /// Returns the handle of the item at an index.
    #[inline]
    pub(crate) fn id_at(&self, index: u32) -> Option<ConnId> {
        let entry = self.entries.get(index as usize)?;
        entry.item.is_some().then_some(ConnId { index, generation: entry.generation })
    }

    /// Prefetches an item.
    #[inline]
    pub(crate) fn prefetch(&self, index: u32) {
        if let Some(entry) = self.entries.get(index as usize) {
            prefetch_all(entry);
        }
    }

    /// Returns all items with their indices, in no meaningful order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let numbered = self.entries.iter().enumerate();
        numbered.filter_map(|(index, entry)| Some((index as u32, entry.item.as_ref()?)))
    }

    /// Returns one past the largest index used so far, for walks that modify the slab.
    pub(crate) const fn high_water(&self) -> u32 {
        self.entries.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_finds_nothing() {
        let mut slab = Slab::new(2);
        let first = slab.insert('a').expect("room");
        assert_eq!(slab.remove(first.index), Some('a'));
        assert_eq!(slab.get(first), None);
        let second = slab.insert('b').expect("room");
        assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.id_at(second.index), Some(second));
    }

    #[test]
    fn a_full_slab_returns_the_item_and_never_grows() {
        let mut slab = Slab::new(3);
        for n in 0..3 {
            assert!(slab.insert(n).is_ok());
        }
        assert_eq!((slab.insert(9), slab.is_full()), (Err(9), true));
        assert_eq!(slab.remove(1), Some(1));
        assert_eq!((slab.remove(1), slab.remove(77)), (None, None));
        assert_eq!(slab.insert(4).map(|id| id.index), Ok(1));
        assert_eq!(slab.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [0, 4, 2]);
        assert_eq!((slab.len(), slab.high_water()), (3, 3));
    }

    #[test]
    fn items_start_at_cache_lines() {
        let mut slab = Slab::new(2);
        for _ in 0..2 {
            assert!(slab.insert([0u8; 70]).is_ok());
        }
        assert!(slab.iter().all(|(_, item)| core::ptr::from_ref(item).addr() % 64 <= 1));
        assert_eq!(Slab::<[u32; 79]>::ENTRY_BYTES, 384);
        assert_eq!(Slab::<core::num::NonZeroU32>::ENTRY_BYTES, 64);
    }
}
