//! Fast Open state of a shard.

use super::peers::Peers;
use super::pending::Pending;
use crate::tcp::CookieKeys;

/// The cookie keys, the pending requests, and the cache of servers.
pub(in crate::shard) struct FastOpenState {
    pub(in crate::shard) keys: CookieKeys,
    pub(in crate::shard) pending: Pending,
    pub(in crate::shard) peers: Peers,
}

impl FastOpenState {
    /// Creates the state. `secret` derives the cookie keys; `hash_secret` keys the cache, which
    /// holds `peers_max` servers.
    pub(in crate::shard) fn new(secret: [u8; 16], peers_max: usize, hash_secret: [u8; 16]) -> Self {
        Self {
            keys: CookieKeys::drawn(secret),
            pending: Pending::default(),
            peers: Peers::new(peers_max, hash_secret),
        }
    }
}
