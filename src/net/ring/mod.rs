//! Rings between two threads: how a program on one core talks to a worker on another.
//!
//! A seat is a client thread's pair of rings with one worker: [`SeatRings`]. Entries of 32 bytes
//! ([`Entry`]) go to the worker on the submission ring and come back on the completion ring; the
//! bytes of a connection go through a byte ring in each direction ([`Writer`], [`Reader`]). Each
//! ring has one producer and one consumer, never blocks and never allocates. A side that has
//! nothing to do sleeps, and the other side wakes it with at most one system call ([`Doorbell`]).
//!
//! Everything shared lies in one block of memory and is named by offsets, so that the block can be
//! mapped by another process at another address. The other side is not trusted:
//!
//! - a side keeps its own index to itself and never reads it back from the shared memory;
//! - the other side's index is checked at every read, and a lie is the error [`Corrupt`];
//! - positions are masked, so that no index leads outside the ring;
//! - entries and bytes are copied before they are looked at, so that they cannot change after a
//!   check.
//!
//! A lying side can send nonsense and can keep the other one awake. It cannot make it panic, loop,
//! or touch other memory.
//!
//! `region` alone is unsafe. `cursor` has the arithmetic of indices and no memory. The layer knows
//! nothing of the meaning of an entry.
//!
//! # Cache lines
//!
//! The cost of a ring is the cache lines that move between two cores, tens of ns each. The
//! producer's index, the consumer's index and a sleeper's flag have lines of their own. For a
//! message alone, three lines move: the consumer polls the producer's index (1) and reads the entry
//! (2); the producer takes the line of the entry back when it writes that line's next entry (3). In
//! a batch of `n` entries the first counts once and the others `n / 2` times, since a line holds
//! two entries. The consumer's index costs nearly nothing: the producer reads it only when the
//! ring looks full, once per lap. The sleeper's flag costs a cache hit and a fence while the other
//! side is awake.

mod bytes;
mod cursor;
mod doorbell;
mod entry;
mod queue;
mod region;
mod seat;
mod streams;
mod sync;
#[cfg(test)]
mod tests;

pub use bytes::{Reader, Writer, byte_ring};
pub use cursor::Corrupt;
pub use doorbell::{Doorbell, Sleeper, doorbell};
pub use entry::Entry;
pub use queue::{Consumer, Producer, PushError, entry_ring};
pub use region::RegionError;
pub use seat::{SeatRings, Sleep, Wait};
pub use streams::StreamRings;
