//! The connections that streams own: whom to wake, and the reason of their end.
//!
//! A slot per connection index, 40 bytes. A stream may outlive its connection and even the next one
//! at the same index, so the reason of an ended connection moves to a map when its slot is needed.

use core::mem::take;
use core::task::Waker;
use std::collections::HashMap;

use crate::shard::{CloseReason, ConnId};

/// A stream owns the connection.
const OWNED: u8 = 1;
/// The stream has closed its sending direction.
const WRITE_SHUT: u8 = 2;
/// The stream has closed its receiving direction.
const READ_SHUT: u8 = 4;

/// One connection that a stream owns or has owned.
#[derive(Debug, Default)]
pub(in crate::net) struct Slot {
    generation: u32,
    flags: u8,
    reason: Option<CloseReason>,
    pub(in crate::net) reader: Option<Waker>,
    pub(in crate::net) writer: Option<Waker>,
}

impl Slot {
    /// Returns true if the stream has closed its sending direction.
    pub(in crate::net) const fn is_write_shut(&self) -> bool {
        self.flags & WRITE_SHUT != 0
    }

    /// Returns true if the stream has closed its receiving direction.
    pub(in crate::net) const fn is_read_shut(&self) -> bool {
        self.flags & READ_SHUT != 0
    }

    pub(in crate::net) const fn shut_write(&mut self) {
        self.flags |= WRITE_SHUT;
    }

    pub(in crate::net) const fn shut_read(&mut self) {
        self.flags |= READ_SHUT;
    }

    const fn is_owned(&self) -> bool {
        self.flags & OWNED != 0
    }
}

/// The slots of a worker.
#[derive(Debug, Default)]
pub(in crate::net) struct Slots {
    slots: Vec<Slot>,
    /// Reasons of ended connections whose slots were reused.
    ended: HashMap<ConnId, CloseReason>,
}

const _: () = assert!(size_of::<Slot>() == 40);

impl Slots {
    /// Gives a connection to a stream.
    pub(in crate::net) fn adopt(&mut self, conn: ConnId) {
        if conn.index == u32::MAX {
            // A connection that failed before it had a place: the stack reports its end.
            self.ended.insert(conn, CloseReason::Aborted);
            return;
        }
        let index = conn.index as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        let fresh = Slot { generation: conn.generation, flags: OWNED, ..Slot::default() };
        let former = core::mem::replace(slot, fresh);
        if former.is_owned() {
            let id = ConnId { index: conn.index, generation: former.generation };
            self.ended.insert(id, former.reason.unwrap_or(CloseReason::Aborted));
        }
    }

    /// Returns the slot of a connection that a stream owns.
    #[inline]
    pub(in crate::net) fn at(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(conn.index as usize)?;
        (slot.generation == conn.generation && slot.is_owned()).then_some(slot)
    }

    /// Records the end of a connection. Returns the wakers of both directions.
    pub(in crate::net) fn on_closed(
        &mut self,
        conn: ConnId,
        reason: CloseReason,
    ) -> [Option<Waker>; 2] {
        let Some(slot) = self.at(conn) else {
            if let Some(known) = self.ended.get_mut(&conn) {
                *known = reason;
            }
            return [None, None];
        };
        slot.reason = Some(reason);
        [slot.reader.take(), slot.writer.take()]
    }

    /// Returns the reason of the end of a connection, once it has ended.
    pub(in crate::net) fn reason(&mut self, conn: ConnId) -> Option<CloseReason> {
        match self.at(conn) {
            Some(slot) => slot.reason,
            None => self.ended.get(&conn).copied(),
        }
    }

    /// Takes a connection back from its stream. Returns its wakers, which the caller drops.
    pub(in crate::net) fn release(&mut self, conn: ConnId) -> [Option<Waker>; 2] {
        match self.at(conn) {
            Some(slot) => {
                slot.flags = 0;
                slot.reason = None;
                [slot.reader.take(), slot.writer.take()]
            }
            None => {
                self.ended.remove(&conn);
                [None, None]
            }
        }
    }

    /// Returns the wakers of all connections, and forgets them.
    pub(in crate::net) fn take_wakers(&mut self) -> Vec<Waker> {
        let wakers =
            self.slots.iter_mut().flat_map(|slot| [take(&mut slot.reader), take(&mut slot.writer)]);
        wakers.flatten().collect()
    }

    /// Returns the number of connections that streams own, ended ones included.
    pub(in crate::net) fn owned(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_owned()).count() + self.ended.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ConnId = ConnId { index: 3, generation: 0 };
    const SECOND: ConnId = ConnId { index: 3, generation: 1 };

    #[test]
    fn a_stream_finds_the_reason_after_the_next_connection_took_its_slot() {
        let mut slots = Slots::default();
        slots.adopt(FIRST);
        assert_eq!(slots.reason(FIRST), None);
        let _ = slots.on_closed(FIRST, CloseReason::Reset);
        slots.adopt(SECOND);
        assert_eq!(slots.reason(FIRST), Some(CloseReason::Reset));
        assert_eq!(slots.reason(SECOND), None);
        assert_eq!(slots.owned(), 2);
        let _ = slots.release(FIRST);
        let _ = slots.release(SECOND);
        assert_eq!((slots.owned(), slots.reason(FIRST)), (0, None));
    }

    #[test]
    fn a_released_connection_is_not_found() {
        let mut slots = Slots::default();
        slots.adopt(FIRST);
        let _ = slots.release(FIRST);
        assert!(slots.at(FIRST).is_none());
        let _ = slots.on_closed(FIRST, CloseReason::Finished);
        assert_eq!(slots.reason(FIRST), None);
    }
}
