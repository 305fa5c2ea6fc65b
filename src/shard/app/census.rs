//! A walk over all flows of a shard, in slices short enough for a turn: what `ss -ti` shows of a kernel.
//!
//! The shard goes on between two slices: a flow that moves meanwhile may be told twice or not at all.

use core::net::SocketAddr;

use crate::shard::app::service::ConnInfo;
use crate::shard::engine::Engine;
use crate::shard::flow::key::FlowKey;

/// Places looked at in one slice: each may be a line that is not in the cache.
const PLACES_PER_SLICE: u32 = 1024;

/// Where a walk goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    store: Store,
    index: u32,
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
    /// See [`Shard::census`](crate::shard::Shard::census).
    pub(in crate::shard) fn census(
        &self,
        from: Cursor,
        rows: &mut Vec<ConnInfo>,
    ) -> Option<Cursor> {
        let Cursor { store, index } = from;
        let places = match store {
            Store::Connections => self.tcp.tables.flows.high_water(),
            Store::Embryos => self.tcp.tables.embryos.high_water(),
            Store::TimeWaits => self.tcp.tables.time_waits.high_water(),
        };
        let end = places.min(index.saturating_add(PLACES_PER_SLICE));
        let mut at = index;
        while at < end && rows.len() < rows.capacity() {
            rows.extend(self.row(store, at));
            at += 1;
        }
        if at < places {
            return Some(Cursor { store, index: at });
        }
        store.next().map(|store| Cursor { store, index: 0 })
    }

    fn row(&self, store: Store, index: u32) -> Option<ConnInfo> {
        match store {
            Store::Connections => self.tcp.tables.flows.at(index).map(|flow| self.describe(flow)),
            Store::Embryos => {
                self.tcp.tables.embryos.key(index).map(|key| self.outline(&key, "SYN-RECEIVED"))
            }
            Store::TimeWaits => {
                self.tcp.tables.time_waits.key(index).map(|key| self.outline(&key, "TIME-WAIT"))
            }
        }
    }

    /// What there is to tell of a flow that has no connection.
    fn outline(&self, key: &FlowKey, state: &'static str) -> ConnInfo {
        let local = SocketAddr::new(self.ip.locals.address(key.local), key.remote.local_port());
        ConnInfo::outline(local, key.remote.socket(), state)
    }
}
