//! Lists all flows of a shard, like `ss -ti`, in slices short enough for one turn.
//!
//! The shard runs on between two slices: a flow that moves to another table meanwhile may be listed
//! twice or not at all.

use core::net::SocketAddr;

use crate::shard::app::service::ConnInfo;
use crate::shard::engine::Engine;
use crate::shard::flow::key::FlowKey;

/// Table slots visited per slice. Each visit may miss the cache.
const SLOTS_PER_SLICE: u32 = 1024;

/// The position at which a listing continues. The default is its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    store: Store,
    index: u32,
}

#[cfg(all(test, feature = "host"))]
impl Cursor {
    /// Returns the position of the connection in a slot.
    pub(crate) const fn at(index: u32) -> Self {
        Self { store: Store::Connections, index }
    }

    /// Returns the slot.
    pub(crate) const fn index(self) -> u32 {
        self.index
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Store {
    #[default]
    Connections,
    Embryos,
    TimeWaits,
}

impl Store {
    const fn next(self) -> Option<Self> {
        match self {
            Self::Connections => Some(Self::Embryos),
            Self::Embryos => Some(Self::TimeWaits),
            Self::TimeWaits => None,
        }
    }
}

impl Engine {
    /// Implements [`Shard::census`](crate::shard::Shard::census).
    pub(in crate::shard) fn census(
        &self,
        from: Cursor,
        rows: &mut Vec<ConnInfo>,
    ) -> Option<Cursor> {
        let Cursor { store, index } = from;
        let slots = match store {
            Store::Connections => self.tcp.tables.flows.high_water(),
            Store::Embryos => self.tcp.tables.embryos.high_water(),
            Store::TimeWaits => self.tcp.tables.time_waits.high_water(),
        };
        let end = slots.min(index.saturating_add(SLOTS_PER_SLICE));
        let mut at = index;
        while at < end && rows.len() < rows.capacity() {
            rows.extend(self.row(store, at));
            at += 1;
        }
        if at < slots {
            return Some(Cursor { store, index: at });
        }
        store.next().map(|store| Cursor { store, index: 0 })
    }

    fn row(&self, store: Store, index: u32) -> Option<ConnInfo> {
        match store {
            Store::Connections => self.tcp.tables.flows.at(index).map(|flow| self.describe(flow)),
            Store::Embryos => {
                self.tcp.tables.embryos.key(index).map(|key| self.bare_row(&key, "SYN-RECEIVED"))
            }
            Store::TimeWaits => {
                self.tcp.tables.time_waits.key(index).map(|key| self.bare_row(&key, "TIME-WAIT"))
            }
        }
    }

    /// Returns the row of a flow that has no connection yet, or no longer.
    fn bare_row(&self, key: &FlowKey, state: &'static str) -> ConnInfo {
        let local = SocketAddr::new(self.ip.locals.address(key.local), key.remote.local_port());
        ConnInfo::without_connection(local, key.remote.socket(), state)
    }
}
