//! Router discovery: what a shard keeps of router advertisements, and when it is due.

use core::net::IpAddr;

use crate::shard::ip::routers::Routers;
use crate::shard::ip::slaac::Slaac;
use crate::time::Instant;
use crate::wire::MacAddr;

/// The part of a shard that listens to routers.
pub(in crate::shard) struct Discovery {
    pub(in crate::shard) slaac: Slaac,
    pub(in crate::shard) routers: Routers,
    /// Addresses that the runtime is to be told of.
    pub(in crate::shard) adopted: Vec<IpAddr>,
    /// When there is something to do.
    pub(in crate::shard) due_at: Instant,
}

impl Discovery {
    pub(in crate::shard) fn new(secret: [u8; 16], mac: MacAddr) -> Self {
        Self {
            slaac: Slaac::new(secret, mac),
            routers: Routers::default(),
            adopted: Vec::new(),
            due_at: Instant::ZERO,
        }
    }

    /// The next address that was formed since the last call.
    pub(in crate::shard) fn take_formed_address(&mut self) -> Option<IpAddr> {
        self.adopted.pop()
    }

    /// Whether the program should wait.
    pub(in crate::shard) fn is_awaiting(&self, now: Instant) -> bool {
        self.slaac.is_awaiting(now)
    }

    /// When to tend it next.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        (self.due_at != Instant::FAR).then_some(self.due_at)
    }

    pub(in crate::shard) fn rearm(&mut self, now: Instant) {
        let due = [self.slaac.next_deadline(now), self.routers.next_deadline()];
        self.due_at = due.into_iter().flatten().min().unwrap_or(Instant::FAR);
    }
}
