//! Datagrams that arrive in parts (RFC 791 §3.2, RFC 815, RFC 8200 §4.5), put together in memory that was
//! reserved at the start: so many datagrams, so many bytes, so much time, and nobody gets more.
//!
//! - Parts that overlap are an attempt to have two readers read two packets: the whole datagram is refused,
//!   what still comes of it too (RFC 5722 §4, taken for IPv4 as well).
//! - When memory runs out the oldest datagram goes: one that is still to be completed was begun a moment
//!   ago, while what a flood leaves behind only ages.
//! - Refuses to know frames, links and ICMP: `shard/fragments` feeds it and says what came of it.
//!
//! | file | |
//! |---|---|
//! | `part` | a fragment, its key, and why it may be refused |
//! | `datagram` | one datagram: which bytes are there |
//! | `pages` | the memory |
//! | `table` | all of them: found by key, bounded, timed |

mod datagram;
mod pages;
mod part;
mod table;

#[cfg(test)]
mod tests;

pub(in crate::shard) use part::{Fragment, Key, Refusal};
pub(in crate::shard) use table::{Expired, Headers, Outcome, Reassembly};
