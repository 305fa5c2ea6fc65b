//! The shard's part of TCP Fast Open (RFC 7413): what was learned of servers, which clients hold our cookies,
//! and how many connections stand on a cookie alone.
//!
//! Owns the keys, the bounds and the memory. Refuses to know segments' meaning to a connection: that is
//! `tcp/fast_open`.
//!
//! | file | |
//! |---|---|
//! | `memory` | all that is kept |
//! | `config` | what a listener and an open choose |
//! | `passive` | a SYN with the option reaches a listener (§4.2.2) |
//! | `pending` | how many handshakes are not done (§4.2, §5.1) |
//! | `active` | an open with data (§4.2.2) |
//! | `peers` | cookies of servers, and servers that take no data (§4.1.3) |

mod active;
mod config;
mod memory;
mod passive;
mod peers;
mod pending;

pub use config::{Early, FastOpenListener};
pub(super) use memory::FastOpens;
pub(super) use passive::Reception;
