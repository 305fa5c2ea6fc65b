//! A connection as the shard keeps it: whose it is, the way to its peer, what is to be told of it, and
//! the protocol's own part.

use crate::shard::flow::id::{ListenerId, NeighbourId};
use crate::shard::flow::key::{FlowKey, Remote};
use crate::tcp::{Connection, Events};
use crate::time::Instant;

/// On the list of those to be asked what they owe.
const TX_PENDING: u8 = 1;
/// On the list of those with something to tell.
const READY: u8 = 2;
/// The application was told that it is over: its handle is stale.
const GONE: u8 = 4;
/// The application was not yet told that it was accepted.
const ACCEPTED: u8 = 8;
/// It stands on a Fast Open cookie, and its listener counts it.
const PENDING_FAST_OPEN: u8 = 16;

/// One connection. What every segment touches comes first.
#[derive(Debug)]
#[repr(C)]
pub(in crate::shard) struct Flow {
    pub(in crate::shard) remote: Remote,
    pub(in crate::shard) local: u8,
    flags: u8,
    /// What the application was not told yet.
    pub(in crate::shard) pending: Events,
    /// The differentiated services code point of what is sent.
    diffserv: u8,
    pub(in crate::shard) neighbour: NeighbourId,
    /// The low half of the flow's hash: what its slot in the flow table is found by.
    home: u32,
    /// The protocol's part.
    pub(in crate::shard) connection: Connection,
    /// The program's own number.
    pub(in crate::shard) user: u64,
    /// When the SYN was sent, in nanoseconds, or which listener took it.
    origin: u64,
}

impl Flow {
    /// An active open.
    pub(in crate::shard) fn opened(
        key: FlowKey,
        hash: u64,
        neighbour: NeighbourId,
        connection: Connection,
        user: u64,
        now: Instant,
    ) -> Self {
        Self::new(key, hash, neighbour, connection, 0, user, now.as_nanos())
    }

    /// A passive open; the application is to be told.
    #[inline(always)]
    pub(in crate::shard) fn accepted(
        key: FlowKey,
        hash: u64,
        neighbour: NeighbourId,
        connection: Connection,
        listener: ListenerId,
    ) -> Self {
        Self::new(key, hash, neighbour, connection, ACCEPTED, 0, u64::from(listener.0))
    }

    #[inline(always)]
    fn new(
        key: FlowKey,
        hash: u64,
        neighbour: NeighbourId,
        connection: Connection,
        flags: u8,
        user: u64,
        origin: u64,
    ) -> Self {
        let FlowKey { remote, local } = key;
        let pending = Events::default();
        let home = hash as u32;
        Self {
            remote,
            local,
            flags,
            pending,
            diffserv: 0,
            neighbour,
            home,
            connection,
            user,
            origin,
        }
    }

    /// Its whole key.
    #[inline]
    pub(in crate::shard) const fn key(&self) -> FlowKey {
        FlowKey { remote: self.remote, local: self.local }
    }

    /// The differentiated services code point of what is sent.
    #[inline]
    pub(in crate::shard) const fn diffserv(&self) -> u8 {
        self.diffserv
    }

    /// Sets it; the field has six bits (RFC 2474 §3).
    pub(in crate::shard) fn set_diffserv(&mut self, code_point: u8) {
        self.diffserv = code_point.min(63);
    }

    /// What its slot in the flow table is found by.
    #[inline]
    pub(in crate::shard) const fn home(&self) -> u64 {
        self.home as u64
    }

    /// Whether it is the flow of `key`.
    #[inline]
    pub(in crate::shard) fn is(&self, key: &FlowKey) -> bool {
        self.remote == key.remote && self.local == key.local
    }

    /// When an active open began.
    pub(in crate::shard) const fn opened_at(&self) -> Instant {
        Instant::from_nanos(self.origin)
    }

    /// The listener whose application is to be told of it, once.
    pub(in crate::shard) fn take_accepted(&mut self) -> Option<ListenerId> {
        let accepted = self.flags & ACCEPTED != 0;
        self.flags &= !ACCEPTED;
        accepted.then_some(ListenerId(self.origin as u16))
    }

    /// Its listener counts it as pending (RFC 7413 §4.2).
    pub(in crate::shard) const fn set_pending_fast_open(&mut self) {
        self.flags |= PENDING_FAST_OPEN;
    }

    /// Whether its listener does.
    #[inline]
    pub(in crate::shard) const fn is_pending_fast_open(&self) -> bool {
        self.flags & PENDING_FAST_OPEN != 0
    }

    /// Its listener counts it no longer.
    pub(in crate::shard) const fn end_pending_fast_open(&mut self) -> ListenerId {
        self.flags &= !PENDING_FAST_OPEN;
        ListenerId(self.origin as u16)
    }

    /// Whether there is something to tell.
    #[inline]
    pub(in crate::shard) const fn has_news(&self) -> bool {
        !self.pending.is_empty() || self.flags & ACCEPTED != 0
    }

    /// Whether the caller is to put it on the list of those that may owe something.
    #[inline]
    pub(in crate::shard) const fn schedule_tx(&mut self) -> Scheduled {
        self.enter(TX_PENDING)
    }

    /// Whether the caller is to put it on the list of those with something to tell.
    #[inline]
    pub(in crate::shard) const fn schedule_ready(&mut self) -> Scheduled {
        self.enter(READY)
    }

    #[inline]
    const fn enter(&mut self, list: u8) -> Scheduled {
        let there = self.flags & list != 0;
        self.flags |= list;
        if there { Scheduled::Already } else { Scheduled::Now }
    }

    /// Collects the connection's events and puts it on the lists, once on each.
    #[inline]
    pub(in crate::shard) fn schedule(
        &mut self,
        index: u32,
        ready: &mut Vec<u32>,
        tx_pending: &mut Vec<u32>,
    ) {
        self.pending.insert(self.connection.take_events());
        if self.has_news() && self.schedule_ready() == Scheduled::Now {
            ready.push(index);
        }
        if self.schedule_tx() == Scheduled::Now {
            tx_pending.push(index);
        }
    }

    /// It was taken off the list of those that may owe something.
    #[inline]
    pub(in crate::shard) const fn unschedule_tx(&mut self) {
        self.flags &= !TX_PENDING;
    }

    /// It was taken off the list of those with something to tell.
    #[inline]
    pub(in crate::shard) const fn unschedule_ready(&mut self) {
        self.flags &= !READY;
    }

    /// Whether the application was told that it is over.
    #[inline]
    pub(in crate::shard) const fn is_gone(&self) -> bool {
        self.flags & GONE != 0
    }

    /// The application is told that it is over.
    pub(in crate::shard) const fn set_gone(&mut self) {
        self.flags |= GONE;
    }
}

/// Whether an entry of a list is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum Scheduled {
    Now,
    Already,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::flow::slab::Slab;

    /// What a connection without data takes: its entry, its slot of the flow table at a load of 0.35 (the
    /// table has twice the slots, being a power of two), its timer, and its places in the lists.
    #[test]
    fn an_idle_connection_takes_at_most_512_bytes() {
        let entry = Slab::<Flow>::ENTRY_BYTES;
        assert!(entry <= 320, "{entry}");
        let (slot, timer, lists) = (8.0 / 0.35, size_of::<[u64; 2]>(), 4 * size_of::<u32>());
        let all = entry + slot as usize + timer + lists;
        assert!(all <= 512, "{all}");
    }

    #[test]
    fn what_finds_a_flow_and_what_opens_and_closes_it_stands_in_its_first_lines() {
        use core::mem::offset_of;
        assert_eq!(offset_of!(Flow, remote), 0);
        assert!(offset_of!(Flow, connection) <= 32);
    }
}
