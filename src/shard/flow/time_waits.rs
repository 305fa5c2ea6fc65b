//! Connections in TIME-WAIT: 32 bytes each, in the order of expiry.
//!
//! 2MSL is constant, so entries expire in the order of arrival. A ring replaces the timers, and no
//! entry stores a deadline. Markers record the deadline of each group of entries that arrived close
//! together. An entry that leaves early (port reuse, RFC 6191) or restarts its timer leaves a hole,
//! which the head of the ring skips.
//!
//! Invariants: an entry never leaves before its 2MSL unless the ring is full, and at most
//! 1/[`GROUPS`] of 2MSL late. An entry keeps its index as long as it stays.

use crate::shard::flow::flow_table::{Kind, Place};
use crate::shard::flow::key::{FlowKey, Remote};
use crate::shard::mem::pages;
use crate::shard::mem::processor::prefetch;
use crate::tcp::TimeWait;
use crate::time::{Duration, Instant};

/// Number of groups per 2MSL. More would be more precise and need more markers; RFC 9293 only
/// requires at least 2MSL.
pub(crate) const GROUPS: usize = 64;
/// More than can be alive at once, and a power of two.
const MARKERS: usize = 128;
const _: () = assert!(GROUPS + 2 <= MARKERS && MARKERS.is_power_of_two());

/// One connection in TIME-WAIT.
#[derive(Clone, Copy, Debug)]
struct Entry {
    remote: Remote,
    state: TimeWait,
}

/// Target size: short connections leave little behind.
const _: () = assert!(size_of::<Entry>() <= 32);

/// The rest of an entry's key, stored beside it: the number of the local address, and the kind,
/// which records timestamps.
#[derive(Clone, Copy, Debug)]
struct Label {
    local: u8,
    kind: Kind,
}

/// End of a group (the position after its last entry, counted from the start) and its times.
#[derive(Clone, Copy, Debug)]
struct Marker {
    end: u64,
    begun_at: Instant,
    due_at: Instant,
}

/// An entry that left the ring: the caller removes its slot of the flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Key of the flow.
    pub key: FlowKey,
    /// Place that the entry had.
    pub place: Place,
}

/// Result of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Pushed {
    /// Place of the new entry.
    pub place: Place,
    /// The oldest entry, which a full ring evicted. The caller removes it from the flow table.
    pub evicted: Option<Removed>,
}

/// Result of restarting the 2MSL timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Restarted {
    /// The entry does not exist.
    NotFound,
    /// The entry keeps its place: it is in the newest group, whose time has barely begun, or the
    /// ring is full.
    InPlace,
    /// The entry moved: the caller updates its slot of the flow table.
    Moved(Pushed),
}

/// The TIME-WAIT ring.
pub(crate) struct TimeWaits {
    entries: Vec<Entry>,
    labels: Vec<Label>,
    capacity: usize,
    /// Positions of the oldest entry or hole, and past the newest, counted from the start.
    head: u64,
    tail: u64,
    alive: usize,
    markers: [Marker; MARKERS],
    marker_head: usize,
    marker_tail: usize,
    span: Duration,
}

impl TimeWaits {
    /// Creates a ring for `capacity` entries that stay for `span` (2MSL).
    pub(crate) fn new(capacity: usize, span: Duration) -> Self {
        let capacity = capacity.clamp(1, (1 << 28) - 1);
        let marker = Marker { end: 0, begun_at: Instant::ZERO, due_at: Instant::ZERO };
        Self {
            entries: pages::reserve(capacity),
            labels: Vec::with_capacity(capacity),
            capacity,
            head: 0,
            tail: 0,
            alive: 0,
            markers: [marker; MARKERS],
            marker_head: 0,
            marker_tail: 0,
            span,
        }
    }

    /// Returns the number of connections in TIME-WAIT.
    pub(crate) const fn len(&self) -> usize {
        self.alive
    }

    /// Returns true if the next [`push`](Self::push) evicts the oldest entry. Holes count as well:
    /// the ring cannot skip them.
    pub(crate) const fn is_full(&self) -> bool {
        self.tail - self.head >= self.capacity as u64
    }

    /// Inserts a connection. A full ring evicts the oldest entry early.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        key: FlowKey,
        state: TimeWait,
        timestamps: bool,
    ) -> Pushed {
        let evicted = if self.is_full() { self.remove_head() } else { None };
        let kind = if timestamps { Kind::TimeWaitTimestamps } else { Kind::TimeWait };
        let entry = Entry { remote: key.remote, state };
        let label = Label { local: key.local, kind };
        let index = self.index_of(self.tail);
        if index == self.entries.len() {
            self.entries.push(entry);
            self.labels.push(label);
        } else {
            self.entries[index] = entry;
            self.labels[index] = label;
        }
        self.tail += 1;
        self.alive += 1;
        self.extend_groups(now);
        Pushed { place: Place::new(kind, index as u32), evicted }
    }

    /// Removes and returns the next entry whose time is over.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Removed> {
        while self.marker_head != self.marker_tail {
            let marker = self.markers[self.marker_head % MARKERS];
            if marker.due_at > now {
                return None;
            }
            while self.head < marker.end {
                if let Some(removed) = self.remove_head() {
                    return Some(removed);
                }
            }
            self.marker_head += 1;
        }
        None
    }

    /// Returns the time at which [`pop`](Self::pop) returns an entry, unless entries leave before.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let some = self.marker_head != self.marker_tail;
        some.then(|| self.markers[self.marker_head % MARKERS].due_at)
    }

    /// Returns true if the entry at `index` belongs to the flow `key`.
    #[inline]
    pub(crate) fn is(&self, index: u32, key: &FlowKey) -> bool {
        let index = index as usize;
        self.entries.get(index).is_some_and(|entry| entry.remote == key.remote)
            && self.labels[index].local == key.local
    }

    /// Returns the state of the entry at `index`.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&TimeWait> {
        let entry = self.entries.get(index as usize)?;
        (!entry.remote.is_none()).then_some(&entry.state)
    }

    /// Returns one past the largest index used so far.
    pub(crate) const fn high_water(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Returns the key of the entry at `index`.
    pub(crate) fn key(&self, index: u32) -> Option<FlowKey> {
        let remote = self.entries.get(index as usize)?.remote;
        let local = self.labels[index as usize].local;
        (!remote.is_none()).then_some(FlowKey { remote, local })
    }

    /// Returns the time of the last segment of the entry at `index`, or a little later: the end of
    /// its group.
    pub(crate) fn quiet_since(&self, index: u32) -> Instant {
        let (capacity, at) = (self.capacity as u64, u64::from(index));
        let head = self.head % capacity;
        let count = self.head + (at + capacity - head) % capacity;
        // The ends of the markers only grow, and the last end is that of the newest entry.
        let (mut low, mut high) = (self.marker_head, self.marker_tail);
        while low < high {
            let middle = low.midpoint(high);
            let after = self.markers[middle % MARKERS].end <= count;
            (low, high) = if after { (middle + 1, high) } else { (low, middle) };
        }
        if low == self.marker_tail {
            return Instant::FAR;
        }
        let due_at = self.markers[low % MARKERS].due_at;
        Instant::ZERO + due_at.since(Instant::ZERO + self.span)
    }

    /// Prefetches an entry.
    #[inline]
    pub(crate) fn prefetch(&self, index: u32) {
        if let Some(entry) = self.entries.get(index as usize) {
            prefetch(entry);
        }
    }

    /// Removes an entry early: its port is reused, or a new SYN replaces it.
    pub(crate) fn remove(&mut self, index: u32) -> Option<Removed> {
        let removed = self.vacate(index as usize)?;
        // Holes at the head free their room at once.
        while self.head < self.tail && self.entries[self.index_of(self.head)].remote.is_none() {
            self.head += 1;
        }
        Some(removed)
    }

    /// Restarts the 2MSL timer of the entry at `index`, which is now in `state`.
    pub(crate) fn restart(&mut self, now: Instant, index: u32, state: TimeWait) -> Restarted {
        let place = index as usize;
        if self.entries.get(place).is_none_or(|entry| entry.remote.is_none()) {
            return Restarted::NotFound;
        }
        // With a full ring, one peer's repeated FIN must not evict other entries.
        let no_room = self.is_full() && place != self.index_of(self.head);
        if no_room || self.is_newest_group(now, place) {
            self.entries[place].state = state;
            return Restarted::InPlace;
        }
        let Some(removed) = self.remove(index) else { return Restarted::NotFound };
        let timestamps = removed.place.kind == Kind::TimeWaitTimestamps;
        Restarted::Moved(self.push(now, removed.key, state, timestamps))
    }

    const fn index_of(&self, count: u64) -> usize {
        (count % self.capacity as u64) as usize
    }

    /// Advances the head by one, removing the entry there.
    fn remove_head(&mut self) -> Option<Removed> {
        let index = self.index_of(self.head);
        self.head += 1;
        self.vacate(index)
    }

    fn vacate(&mut self, index: usize) -> Option<Removed> {
        let entry = self.entries.get_mut(index)?;
        if entry.remote.is_none() {
            return None;
        }
        let remote = core::mem::replace(&mut entry.remote, Remote::NONE);
        let Label { local, kind } = self.labels[index];
        self.alive -= 1;
        Some(Removed { key: FlowKey { remote, local }, place: Place::new(kind, index as u32) })
    }

    const fn group_span(&self) -> u64 {
        self.span.as_nanos() / GROUPS as u64
    }

    /// Adds the newest entry to the newest group, or begins a new group.
    fn extend_groups(&mut self, now: Instant) {
        if self.marker_head != self.marker_tail {
            let newest = &mut self.markers[(self.marker_tail - 1) % MARKERS];
            if now.since(newest.begun_at).as_nanos() < self.span.as_nanos() / GROUPS as u64
                || self.marker_tail - self.marker_head == MARKERS
            {
                newest.end = self.tail;
                newest.due_at = newest.due_at.max(now + self.span);
                return;
            }
        }
        let marker = Marker { end: self.tail, begun_at: now, due_at: now + self.span };
        self.markers[self.marker_tail % MARKERS] = marker;
        self.marker_tail += 1;
    }

    /// Returns true if an entry is in the newest group and that group is still open.
    fn is_newest_group(&self, now: Instant, index: usize) -> bool {
        if self.marker_head == self.marker_tail {
            return false;
        }
        let newest = self.markers[(self.marker_tail - 1) % MARKERS];
        let before = match self.marker_tail - self.marker_head {
            1 => self.head,
            _ => self.markers[(self.marker_tail - 2) % MARKERS].end,
        };
        let open = now.since(newest.begun_at).as_nanos() < self.group_span();
        // Compare the entry's distance from the tail with the size of the newest group.
        let tail = self.index_of(self.tail);
        let back = (tail + self.capacity - index - 1) % self.capacity + 1;
        open && back as u64 <= self.tail - before.max(self.head)
    }
}
