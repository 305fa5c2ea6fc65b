//! The keys of a worker, their values, and when they expire.
//!
//! The store does not read the clock: the time is an argument. A key that has expired is gone for
//! every call, also before [`Store::expire`] frees it. The memory is bounded: keys and their values
//! by [`MEMORY_MAX`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use linerate::Instant;

/// Most bytes of keys and values together with what the store adds to each.
const MEMORY_MAX: usize = 256 << 20;

/// Bytes that the store adds to a key: its slot in the map, its place in the order of expiry.
const OVERHEAD: usize = 128;

/// Keys freed by one call of [`Store::expire`], so that the worker returns to its packets.
const EXPIRED_MAX: usize = 1024;

/// The store is full: nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The fate of an earlier deadline when a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// The key keeps its deadline.
    Keep,
    Never,
    At(Instant),
}

#[derive(Debug)]
struct Entry {
    value: Box<[u8]>,
    expires_at: Option<Instant>,
}

/// A map of keys to values.
#[derive(Debug, Default)]
pub(super) struct Store {
    entries: HashMap<Box<[u8]>, Entry>,
    /// Deadlines, earliest first. One that the entry no longer has is obsolete.
    deadlines: BinaryHeap<Reverse<(Instant, Box<[u8]>)>>,
    bytes: usize,
}

impl Store {
    /// Returns the value of a key.
    pub(super) fn value(&self, key: &[u8], now: Instant) -> Option<&[u8]> {
        self.live(key, now).map(|entry| &*entry.value)
    }

    /// Stores a value.
    ///
    /// # Errors
    /// [`Full`] if it does not fit.
    pub(super) fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        expiry: Expiry,
        now: Instant,
    ) -> Result<(), Full> {
        let expires_at = match expiry {
            Expiry::Keep => self.live(key, now).and_then(|entry| entry.expires_at),
            Expiry::Never => None,
            Expiry::At(at) => Some(at),
        };
        let freed = self.entries.get(key).map_or(0, |entry| size(key, &entry.value));
        if self.bytes - freed + size(key, value) > MEMORY_MAX {
            return Err(Full);
        }
        self.bytes = self.bytes - freed + size(key, value);
        self.entries.insert(key.into(), Entry { value: value.into(), expires_at });
        if let Expiry::At(at) = expiry {
            self.push_deadline(key, at);
        }
        Ok(())
    }

    /// Removes a key. Returns true if it was there.
    pub(super) fn remove(&mut self, key: &[u8], now: Instant) -> bool {
        let was_live = self.live(key, now).is_some();
        self.free(key);
        was_live
    }

    /// Sets or removes the deadline of a key. Returns true if the key is there.
    pub(super) fn set_deadline(&mut self, key: &[u8], at: Option<Instant>, now: Instant) -> bool {
        if self.live(key, now).is_none() {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.expires_at = at;
        }
        if let Some(at) = at {
            self.push_deadline(key, at);
        }
        true
    }

    /// Returns the deadline of a key: `None` without the key, `Some(None)` if it never expires.
    pub(super) fn deadline(&self, key: &[u8], now: Instant) -> Option<Option<Instant>> {
        self.live(key, now).map(|entry| entry.expires_at)
    }

    /// Frees keys that have expired, a limited number at once.
    pub(super) fn expire(&mut self, now: Instant) {
        for _ in 0..EXPIRED_MAX {
            let Some(Reverse((at, _))) = self.deadlines.peek() else { return };
            if *at > now {
                return;
            }
            let Some(Reverse((at, key))) = self.deadlines.pop() else { return };
            if self.entries.get(&key).is_some_and(|entry| entry.expires_at == Some(at)) {
                self.free(&key);
            }
        }
    }

    /// Returns the number of keys, with those that have expired since the last
    /// [`expire`](Self::expire).
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes all keys.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn live(&self, key: &[u8], now: Instant) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires_at.is_none_or(|at| at > now))
    }

    fn free(&mut self, key: &[u8]) {
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= size(key, &entry.value);
        }
    }

    /// Notes a deadline. Drops the obsolete ones when most are, so that a client that changes one
    /// deadline for ever does not fill the memory.
    fn push_deadline(&mut self, key: &[u8], at: Instant) {
        self.deadlines.push(Reverse((at, key.into())));
        if self.deadlines.len() > 2 * self.entries.len() + EXPIRED_MAX {
            let entries = &self.entries;
            self.deadlines.retain(|Reverse((at, key))| {
                entries.get(key).is_some_and(|entry| entry.expires_at == Some(*at))
            });
        }
    }
}

fn size(key: &[u8], value: &[u8]) -> usize {
    2 * key.len() + value.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use linerate::Duration;

    use super::*;

    const START: Instant = Instant::ZERO;

    fn after(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_key_is_gone_at_its_deadline_and_freed_by_the_timer() {
        let mut store = Store::default();
        store.set(b"a", b"1", Expiry::At(after(2)), START).unwrap();
        assert_eq!(store.value(b"a", after(1)), Some(&b"1"[..]));
        assert_eq!((store.value(b"a", after(2)), store.len()), (None, 1));
        store.expire(after(2));
        assert_eq!((store.len(), store.bytes), (0, 0));
    }

    #[test]
    fn an_obsolete_deadline_does_not_free_the_key() {
        let mut store = Store::default();
        store.set(b"a", b"1", Expiry::At(after(1)), START).unwrap();
        store.set(b"a", b"2", Expiry::Keep, START).unwrap();
        assert_eq!(store.deadline(b"a", START), Some(Some(after(1))));
        assert!(store.set_deadline(b"a", Some(after(5)), START));
        store.expire(after(2));
        assert_eq!(store.value(b"a", after(2)), Some(&b"2"[..]));
        store.set(b"a", b"3", Expiry::Never, after(2)).unwrap();
        store.expire(after(9));
        assert_eq!(store.value(b"a", after(9)), Some(&b"3"[..]));
    }

    #[test]
    fn deadlines_that_change_for_ever_take_bounded_memory() {
        let mut store = Store::default();
        store.set(b"a", b"1", Expiry::Never, START).unwrap();
        for second in 1..100_000 {
            assert!(store.set_deadline(b"a", Some(after(second)), START));
        }
        assert!(store.deadlines.len() <= EXPIRED_MAX + 3, "{}", store.deadlines.len());
    }

    #[test]
    fn a_full_store_refuses_what_does_not_fit_and_keeps_what_it_has() {
        let mut store = Store::default();
        let value = vec![0; MEMORY_MAX / 2];
        store.set(b"a", &value, Expiry::Never, START).unwrap();
        assert_eq!(store.set(b"b", &value, Expiry::Never, START), Err(Full));
        store.set(b"a", &value, Expiry::Never, START).unwrap();
        assert!(store.remove(b"a", START));
        store.set(b"b", &value, Expiry::Never, START).unwrap();
        assert_eq!(store.len(), 1);
    }
}
