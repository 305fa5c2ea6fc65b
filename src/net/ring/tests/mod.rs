//! Tests of the rings: lies of the other side, two threads under load, and models for loom.

#[cfg(loom)]
pub(super) mod block;
#[cfg(not(loom))]
mod lies;
#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod stress;
