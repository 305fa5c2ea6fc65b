//! A connection as the shard stores it: its key, its next hop, its pending events, and the TCP
//! connection itself.

use crate::shard::flow::id::{ListenerId, NeighbourId};
use crate::shard::flow::key::{FlowKey, Remote};
use crate::tcp::{Connection, Events};
use crate::time::Instant;

/// On the list of connections that may have pending output.
const TX_PENDING: u8 = 1;
/// On the list of connections with events for the service.
const READY: u8 = 2;
/// The service has received the close event: its handle is stale.
const CLOSE_REPORTED: u8 = 4;
/// The service has not received the accept event yet.
const ACCEPTED: u8 = 8;
/// The connection rests on a Fast Open cookie, and its listener counts it.
const PENDING_FAST_OPEN: u8 = 16;

/// One connection. The fields that every segment touches come first.
#[derive(Debug)]
#[repr(C)]
pub(in crate::shard) struct Flow {
    pub(in crate::shard) remote: Remote,
    pub(in crate::shard) local: u8,
    flags: u8,
    /// Events not yet delivered to the service.
    pub(in crate::shard) pending: Events,
    /// The differentiated services code point of outgoing packets.
    diffserv: u8,
    pub(in crate::shard) neighbour: NeighbourId,
    /// Low half of the flow's hash, which locates its slot in the flow table.
    home: u32,
    /// The TCP connection.
    pub(in crate::shard) connection: Connection,
    /// User data of the program.
    pub(in crate::shard) user: u64,
    /// Active open: time of the SYN in nanoseconds. Passive open: number of the listener.
    origin: u64,
}

impl Flow {
    /// Creates the flow of an active open.
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

    /// Creates the flow of a passive open, with a pending accept event.
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

    /// Returns the key of the flow.
    #[inline]
    pub(in crate::shard) const fn key(&self) -> FlowKey {
        FlowKey { remote: self.remote, local: self.local }
    }

    /// Returns the differentiated services code point of outgoing packets.
    #[inline]
    pub(in crate::shard) const fn diffserv(&self) -> u8 {
        self.diffserv
    }

    /// Sets the code point, which has six bits (RFC 2474 §3).
    pub(in crate::shard) fn set_diffserv(&mut self, code_point: u8) {
        self.diffserv = code_point.min(63);
    }

    /// Returns the part of the hash that locates the slot in the flow table.
    #[inline]
    pub(in crate::shard) const fn home(&self) -> u64 {
        self.home as u64
    }

    /// Returns true if `key` is the key of this flow.
    #[inline]
    pub(in crate::shard) fn is(&self, key: &FlowKey) -> bool {
        self.remote == key.remote && self.local == key.local
    }

    /// Returns the time of an active open.
    pub(in crate::shard) const fn opened_at(&self) -> Instant {
        Instant::from_nanos(self.origin)
    }

    /// Takes the pending accept event. Returns the listener that accepted the connection.
    pub(in crate::shard) fn take_accepted(&mut self) -> Option<ListenerId> {
        let accepted = self.flags & ACCEPTED != 0;
        self.flags &= !ACCEPTED;
        accepted.then_some(ListenerId(self.origin as u16))
    }

    /// Records that the listener counts the flow as pending (RFC 7413 §4.2).
    pub(in crate::shard) const fn set_pending_fast_open(&mut self) {
        self.flags |= PENDING_FAST_OPEN;
    }

    /// Returns true if the listener counts the flow as pending.
    #[inline]
    pub(in crate::shard) const fn is_pending_fast_open(&self) -> bool {
        self.flags & PENDING_FAST_OPEN != 0
    }

    /// Clears the pending mark. Returns the listener, which must uncount the flow.
    pub(in crate::shard) const fn end_pending_fast_open(&mut self) -> ListenerId {
        self.flags &= !PENDING_FAST_OPEN;
        ListenerId(self.origin as u16)
    }

    /// Returns true if events wait for the service.
    #[inline]
    pub(in crate::shard) const fn has_events(&self) -> bool {
        !self.pending.is_empty() || self.flags & ACCEPTED != 0
    }

    /// Marks the flow as having output. The caller adds it to the list if it is not on it yet.
    #[inline]
    pub(in crate::shard) const fn schedule_tx(&mut self) -> Scheduled {
        self.enter(TX_PENDING)
    }

    /// Marks the flow as having events. The caller adds it to the list if it is not on it yet.
    #[inline]
    pub(in crate::shard) const fn schedule_ready(&mut self) -> Scheduled {
        self.enter(READY)
    }

    #[inline]
    const fn enter(&mut self, list: u8) -> Scheduled {
        let listed = self.flags & list != 0;
        self.flags |= list;
        if listed { Scheduled::Already } else { Scheduled::Now }
    }

    /// Collects the connection's events and puts the flow on the lists, once on each.
    #[inline]
    pub(in crate::shard) fn schedule(
        &mut self,
        index: u32,
        ready: &mut Vec<u32>,
        tx_pending: &mut Vec<u32>,
    ) {
        self.pending.insert(self.connection.take_events());
        if self.has_events() && self.schedule_ready() == Scheduled::Now {
            ready.push(index);
        }
        if self.schedule_tx() == Scheduled::Now {
            tx_pending.push(index);
        }
    }

    /// Records that the flow left the list of pending output.
    #[inline]
    pub(in crate::shard) const fn unschedule_tx(&mut self) {
        self.flags &= !TX_PENDING;
    }

    /// Records that the flow left the list of events.
    #[inline]
    pub(in crate::shard) const fn unschedule_ready(&mut self) {
        self.flags &= !READY;
    }

    /// Returns true if the service has received the close event.
    #[inline]
    pub(in crate::shard) const fn is_close_reported(&self) -> bool {
        self.flags & CLOSE_REPORTED != 0
    }

    /// Records that the service receives the close event.
    pub(in crate::shard) const fn set_close_reported(&mut self) {
        self.flags |= CLOSE_REPORTED;
    }
}

/// Result of scheduling a flow: the caller must add a list entry, or the flow has one.
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

    /// Memory of an idle connection: its slab entry, its slot of the flow table at a load of 0.35
    /// (the table has twice the slots, being a power of two), its timer, and its places in the
    /// lists.
    #[test]
    fn an_idle_connection_takes_at_most_512_bytes() {
        let entry = Slab::<Flow>::ENTRY_BYTES;
        assert!(entry <= 320, "{entry}");
        let (slot, timer, lists) = (8.0 / 0.35, size_of::<[u64; 2]>(), 4 * size_of::<u32>());
        let all = entry + slot as usize + timer + lists;
        assert!(all <= 512, "{all}");
    }

    #[test]
    fn the_key_and_the_hot_part_lie_in_the_first_cache_line() {
        use core::mem::offset_of;
        assert_eq!(offset_of!(Flow, remote), 0);
        assert!(offset_of!(Flow, connection) <= 32);
    }
}
