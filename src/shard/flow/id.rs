//! Handles: of connections, listeners and neighbours.

/// A connection, for as long as it lives: a stale handle finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Place in the shard's slab.
    pub index: u32,
    /// How often that place was used before.
    pub generation: u32,
}

/// A listener of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// A neighbour, for as long as it is in the cache; flows keep it to skip the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NeighbourId {
    pub(in crate::shard) index: u16,
    pub(in crate::shard) generation: u16,
}

impl NeighbourId {
    /// No neighbour: never in the cache.
    pub const NONE: Self = Self { index: u16::MAX, generation: 0 };
}
