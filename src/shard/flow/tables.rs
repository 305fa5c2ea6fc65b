//! The flow tables: the flow table and the three stores that it leads to.
//!
//! Invariant: a flow has exactly one slot in the flow table while it is in one of the stores. All
//! insertions, moves and removals happen here, so the two sides never disagree.

use crate::limits::Limits;
use crate::shard::flow::embryos::Embryos;
use crate::shard::flow::entry::Flow;
use crate::shard::flow::flow_table::{FlowTable, Found, Inserted, Kind, Place};
use crate::shard::flow::id::ConnId;
use crate::shard::flow::key::{FlowHasher, FlowKey};
use crate::shard::flow::slab::Slab;
use crate::shard::flow::time_waits::{Pushed, Removed, Restarted, TimeWaits};
use crate::tcp::{Embryo, TimeWait};
use crate::time::{Duration, Instant};

/// The flow table and its stores.
pub(in crate::shard) struct Tables {
    pub(in crate::shard) hasher: FlowHasher,
    slots: FlowTable,
    pub(in crate::shard) flows: Slab<Flow>,
    pub(in crate::shard) embryos: Embryos,
    pub(in crate::shard) time_waits: TimeWaits,
}

impl Tables {
    pub(in crate::shard) fn new(limits: &Limits, secret: [u8; 16], two_msl: Duration) -> Self {
        let flows = limits.connections + limits.embryos + limits.time_waits;
        Self {
            hasher: FlowHasher::new(secret),
            slots: FlowTable::new(flows),
            flows: Slab::new(limits.connections),
            embryos: Embryos::new(limits.embryos),
            time_waits: TimeWaits::new(limits.time_waits, two_msl),
        }
    }

    /// Prefetches a flow's bucket of the flow table.
    #[inline]
    pub(in crate::shard) fn prefetch(&self, hash: u64) {
        self.slots.prefetch(hash);
    }

    /// Returns the first candidate for a flow.
    #[inline]
    pub(in crate::shard) fn candidate(&self, hash: u64, key: &FlowKey) -> Option<Place> {
        self.slots.candidate(hash, key.local)
    }

    /// Prefetches a candidate.
    #[inline(always)]
    pub(in crate::shard) fn prefetch_at(&self, place: Place) {
        match place.kind {
            Kind::Connection => self.flows.prefetch(place.index),
            Kind::Embryo => self.embryos.prefetch(place.index),
            Kind::TimeWait | Kind::TimeWaitTimestamps => self.time_waits.prefetch(place.index),
        }
    }

    /// Returns true if the flow of `key` is at `place`.
    #[inline]
    pub(in crate::shard) fn is_at(&self, place: Place, key: &FlowKey) -> bool {
        match place.kind {
            Kind::Connection => self.flows.at(place.index).is_some_and(|flow| flow.is(key)),
            Kind::Embryo => self.embryos.is(place.index, key),
            Kind::TimeWait | Kind::TimeWaitTimestamps => self.time_waits.is(place.index, key),
        }
    }

    /// Returns the place of the flow of `key`.
    #[inline]
    pub(in crate::shard) fn find(&self, hash: u64, key: &FlowKey) -> Option<Place> {
        self.slots.candidates(hash, key.local).find(|place| self.is_at(*place, key))
    }

    /// Inserts a connection. Returns `None` if the tables are full.
    pub(in crate::shard) fn add_flow(&mut self, hash: u64, flow: Flow) -> Option<ConnId> {
        let local = flow.local;
        let conn = self.flows.insert(flow).ok()?;
        match self.slots.insert(hash, local, Place::new(Kind::Connection, conn.index)) {
            Inserted::Done => Some(conn),
            Inserted::Full => {
                self.flows.remove(conn.index);
                None
            }
        }
    }

    /// Drops a connection. The caller has released its buffers.
    pub(in crate::shard) fn remove_flow(&mut self, index: u32) {
        let Some(home) = self.flows.at(index).map(Flow::home) else { return };
        self.remove_slot(home, Place::new(Kind::Connection, index));
        self.flows.discard(index);
    }

    /// Inserts an embryo. Returns `None` if the tables are full.
    pub(in crate::shard) fn add_embryo(
        &mut self,
        hash: u64,
        key: FlowKey,
        embryo: Embryo,
    ) -> Option<u32> {
        let index = self.embryos.insert(key, embryo)?;
        match self.slots.insert(hash, key.local, Place::new(Kind::Embryo, index)) {
            Inserted::Done => Some(index),
            Inserted::Full => {
                self.embryos.remove(index);
                None
            }
        }
    }

    /// Replaces an embryo by the connection that `make` constructs. The caller ensures that the
    /// slab has room.
    #[inline(always)]
    pub(in crate::shard) fn promote_embryo(
        &mut self,
        hash: u64,
        index: u32,
        make: impl FnOnce() -> Flow,
    ) -> ConnId {
        let conn = self.flows.insert_with(make);
        self.move_slot(
            hash,
            Place::new(Kind::Embryo, index),
            Place::new(Kind::Connection, conn.index),
        );
        self.embryos.remove(index);
        conn
    }

    /// Removes an embryo.
    pub(in crate::shard) fn remove_embryo(&mut self, index: u32) {
        if let Some((key, _)) = self.embryos.remove(index) {
            self.remove_slot(self.hasher.hash(&key), Place::new(Kind::Embryo, index));
        }
    }

    /// Moves a connection to TIME-WAIT. The caller has released its buffers. Returns the entry that
    /// a full ring evicted.
    pub(in crate::shard) fn enter_time_wait(
        &mut self,
        now: Instant,
        index: u32,
        state: TimeWait,
        timestamps: bool,
    ) -> Option<Removed> {
        let flow = self.flows.at(index)?;
        let (key, home) = (flow.key(), flow.home());
        let Pushed { place, evicted } = self.time_waits.push(now, key, state, timestamps);
        // Remove the evicted entry first: the new one may have reused its index.
        self.unlink(evicted);
        self.move_slot(home, Place::new(Kind::Connection, index), place);
        self.flows.discard(index);
        evicted
    }

    /// Restarts the 2MSL timer of an entry.
    pub(in crate::shard) fn restart_time_wait(
        &mut self,
        now: Instant,
        hash: u64,
        place: Place,
        state: TimeWait,
    ) {
        if let Restarted::Moved(Pushed { place: to, evicted }) =
            self.time_waits.restart(now, place.index, state)
        {
            self.unlink(evicted);
            self.move_slot(hash, place, to);
        }
    }

    /// Removes an entry from TIME-WAIT early.
    pub(in crate::shard) fn remove_time_wait(&mut self, index: u32) {
        let removed = self.time_waits.remove(index);
        self.unlink(removed);
    }

    /// Removes the next entry whose 2MSL timer has expired, and returns its key.
    pub(in crate::shard) fn pop_time_wait(&mut self, now: Instant) -> Option<FlowKey> {
        let removed = self.time_waits.pop(now)?;
        self.unlink(Some(removed));
        Some(removed.key)
    }

    fn unlink(&mut self, removed: Option<Removed>) {
        if let Some(Removed { key, place }) = removed {
            self.remove_slot(self.hasher.hash(&key), place);
        }
    }

    fn remove_slot(&mut self, hash: u64, place: Place) {
        let found = self.slots.remove(hash, place);
        debug_assert_eq!(found, Found::Yes, "a live flow has a slot");
    }

    fn move_slot(&mut self, hash: u64, from: Place, to: Place) {
        let found = self.slots.replace(hash, from, to);
        debug_assert_eq!(found, Found::Yes, "a live flow has a slot");
    }
}
