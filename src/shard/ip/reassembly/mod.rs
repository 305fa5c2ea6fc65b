//! Reassembly of fragmented datagrams (RFC 791 §3.2, RFC 815, RFC 8200 §4.5) in memory reserved at
//! the start. The number of datagrams, their bytes and their lifetime are bounded.
//!
//! - Overlapping fragments are an attempt to show two readers two different packets. The datagram
//!   is refused, with all fragments of it that still arrive (RFC 5722 §4, applied to IPv4 as well).
//! - When memory runs out, the oldest datagram is evicted. A datagram that can still be completed
//!   began a moment ago; what a flood leaves behind only ages.
//! - Refuses to know frames, links and ICMP: `ip/fragments` feeds it and acts on the outcome.
//!
//! | file | |
//! |---|---|
//! | `part` | a fragment, its key, and the reasons to refuse it |
//! | `datagram` | one incomplete datagram: which bytes have arrived |
//! | `pages` | the memory |
//! | `table` | all incomplete datagrams, by key, with their deadlines |

mod datagram;
mod pages;
mod part;
mod table;

#[cfg(test)]
mod tests;

pub(in crate::shard) use part::{Fragment, Key, Refusal};
pub(in crate::shard) use table::{Expired, Headers, Outcome, Reassembly};
