//! Router discovery: the state that a shard keeps from router advertisements, and its deadline.

use core::net::IpAddr;

use crate::shard::ip::routers::Routers;
use crate::shard::ip::slaac::Slaac;
use crate::time::Instant;
use crate::wire::MacAddr;

/// The state of router discovery and SLAAC.
pub(in crate::shard) struct Discovery {
    pub(in crate::shard) slaac: Slaac,
    pub(in crate::shard) routers: Routers,
    /// New addresses, for the runtime to collect.
    pub(in crate::shard) adopted: Vec<IpAddr>,
    /// The time of the next timer.
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

    /// Returns one new address per call.
    pub(in crate::shard) fn take_formed_address(&mut self) -> Option<IpAddr> {
        self.adopted.pop()
    }

    /// Returns true while the start of the service should wait for a router.
    pub(in crate::shard) fn is_awaiting(&self, now: Instant) -> bool {
        self.slaac.is_awaiting(now)
    }

    /// Returns the time of the next timer.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        (self.due_at != Instant::FAR).then_some(self.due_at)
    }

    /// Sets `due_at` from the timers of its parts.
    pub(in crate::shard) fn rearm(&mut self, now: Instant) {
        let due = [self.slaac.next_deadline(now), self.routers.next_deadline()];
        self.due_at = due.into_iter().flatten().min().unwrap_or(Instant::FAR);
    }
}
