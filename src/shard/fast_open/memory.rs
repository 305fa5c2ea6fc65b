//! All that a shard keeps for Fast Open.

use super::peers::Peers;
use super::pending::Pending;
use crate::tcp::CookieKeys;

/// The keys, the counts and what is known of servers.
pub(in crate::shard) struct FastOpens {
    pub(in crate::shard) keys: CookieKeys,
    pub(in crate::shard) pending: Pending,
    pub(in crate::shard) peers: Peers,
}

impl FastOpens {
    /// Keys from one secret; room for servers of `peers_max` addresses, found by another.
    pub(in crate::shard) fn new(secret: [u8; 16], peers_max: usize, hash_secret: [u8; 16]) -> Self {
        Self {
            keys: CookieKeys::drawn(secret),
            pending: Pending::default(),
            peers: Peers::new(peers_max, hash_secret),
        }
    }
}
