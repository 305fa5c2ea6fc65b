//! Handles of connections, listeners and neighbours.

/// Handle of a connection. A stale handle finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Index in the shard's slab.
    pub index: u32,
    /// Number of connections that used the index before.
    pub generation: u32,
}

/// Handle of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// Handle of a neighbour cache entry. Flows keep it to skip the lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NeighbourId {
    pub(in crate::shard) index: u16,
    pub(in crate::shard) generation: u16,
}

impl NeighbourId {
    /// Handle of no neighbour.
    pub(crate) const NONE: Self = Self { index: u16::MAX, generation: 0 };
}
