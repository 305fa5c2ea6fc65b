//! The SYN table: embryos of passive opens, 48 bytes each, and their number per listener.
//!
//! Bounded: when it is full, the caller answers with SYN cookies. Owns no timers (the wheel has an
//! entry for each index) and no policy.

use crate::shard::flow::key::{FlowKey, Remote};
use crate::shard::mem::pages;
use crate::shard::mem::processor::prefetch_all;
use crate::tcp::Embryo;

/// One embryo.
#[derive(Clone, Copy, Debug)]
struct Entry {
    remote: Remote,
    embryo: Embryo,
}

/// Target size: a flood of SYNs costs little memory.
const _: () = assert!(size_of::<Entry>() <= 48);

/// The SYN table.
pub(crate) struct Embryos {
    entries: Vec<Entry>,
    /// Number of the local address of each embryo.
    locals: Vec<u8>,
    free: Vec<u32>,
    capacity: usize,
    listeners: Vec<u32>,
}

impl Embryos {
    /// Creates a table for `capacity` embryos.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.min((1 << 28) - 1);
        Self {
            entries: pages::reserve(capacity),
            locals: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
            capacity,
            listeners: Vec::new(),
        }
    }

    /// Returns the number of embryos of all listeners.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Returns true if the table is full and the next SYN needs a cookie.
    pub(crate) const fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    /// Returns the number of embryos of one listener.
    pub(crate) fn of_listener(&self, listener: u16) -> usize {
        self.listeners.get(usize::from(listener)).map_or(0, |count| *count as usize)
    }

    /// Makes room for a listener's count. Called when the listener opens.
    pub(crate) fn expect_listener(&mut self, listener: u16) {
        let needed = usize::from(listener) + 1;
        if self.listeners.len() < needed {
            self.listeners.resize(needed, 0);
        }
    }

    /// Inserts an embryo and returns its index, or `None` if the table is full.
    pub(crate) fn insert(&mut self, key: FlowKey, embryo: Embryo) -> Option<u32> {
        let listener = embryo.listener();
        self.expect_listener(listener);
        let entry = Entry { remote: key.remote, embryo };
        let index = if let Some(index) = self.free.pop() {
            self.entries[index as usize] = entry;
            self.locals[index as usize] = key.local;
            index
        } else if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.locals.push(key.local);
            self.entries.len() as u32 - 1
        } else {
            return None;
        };
        self.listeners[usize::from(listener)] += 1;
        Some(index)
    }

    /// Removes an embryo that became a connection or died.
    pub(crate) fn remove(&mut self, index: u32) -> Option<(FlowKey, Embryo)> {
        let entry = self.entries.get_mut(index as usize)?;
        if entry.remote.is_none() {
            return None;
        }
        let remote = core::mem::replace(&mut entry.remote, Remote::NONE);
        let embryo = entry.embryo;
        let local = self.locals[index as usize];
        self.listeners[usize::from(embryo.listener())] -= 1;
        self.free.push(index);
        Some((FlowKey { remote, local }, embryo))
    }

    /// Prefetches an embryo.
    #[inline]
    pub(crate) fn prefetch(&self, index: u32) {
        if let Some(entry) = self.entries.get(index as usize) {
            prefetch_all(entry);
        }
    }

    /// Returns true if the embryo at `index` belongs to the flow `key`.
    #[inline]
    pub(crate) fn is(&self, index: u32, key: &FlowKey) -> bool {
        let index = index as usize;
        self.entries.get(index).is_some_and(|entry| entry.remote == key.remote)
            && self.locals[index] == key.local
    }

    /// Returns the embryo at `index`.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&Embryo> {
        let entry = self.entries.get(index as usize)?;
        (!entry.remote.is_none()).then_some(&entry.embryo)
    }

    /// Returns the embryo at `index` for modification.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Embryo> {
        let entry = self.entries.get_mut(index as usize)?;
        (!entry.remote.is_none()).then_some(&mut entry.embryo)
    }

    /// Returns the key of the embryo at `index`.
    pub(crate) fn key(&self, index: u32) -> Option<FlowKey> {
        let remote = self.entries.get(index as usize)?.remote;
        let local = self.locals[index as usize];
        (!remote.is_none()).then_some(FlowKey { remote, local })
    }

    /// Returns one past the largest index used so far, for walks that modify the table.
    pub(crate) const fn high_water(&self) -> u32 {
        self.entries.len() as u32
    }
}
