//! What the shard keeps for TCP Fast Open (RFC 7413): what was learned of servers, which clients hold our cookies,
//! and how many connections stand on a cookie alone.
//!
//! Owns the keys, the bounds and the memory. Refuses to know segments' meaning to a connection: that is
//! `tcp/fast_open`. The steps are `rx/fast_open`, a SYN with the option reaches a listener (§4.2.2), and
//! `app/fast_open`, an open with data (§4.2.2).
//!
//! | file | |
//! |---|---|
//! | `memory` | all that is kept |
//! | `config` | what a listener and an open choose |
//! | `pending` | how many handshakes are not done (§4.2, §5.1) |
//! | `peers` | cookies of servers, and servers that take no data (§4.1.3) |

pub(super) mod config;
pub(super) mod memory;
pub(super) mod peers;
pub(super) mod pending;
