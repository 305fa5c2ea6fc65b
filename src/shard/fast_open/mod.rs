//! State of TCP Fast Open (RFC 7413): the cache of servers, the cookie keys, and the number of
//! connections that rest on a cookie alone.
//!
//! Owns the keys, the bounds and the memory. Refuses to know what segments mean to a connection:
//! that is `tcp/fast_open`. The steps are `rx/fast_open`, where a SYN with the option reaches a
//! listener (§4.2.2), and `app/fast_open`, an open with data (§4.2.2).
//!
//! | file | |
//! |---|---|
//! | `memory` | all state of a shard |
//! | `config` | options of a listener and of an open |
//! | `pending` | number of incomplete handshakes (§4.2, §5.1) |
//! | `peers` | cookies of servers, and servers that reject data (§4.1.3) |

pub(super) mod config;
pub(super) mod memory;
pub(super) mod peers;
pub(super) mod pending;
