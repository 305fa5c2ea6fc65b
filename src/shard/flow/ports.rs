//! Source port selection of active opens (RFC 6056): hard to guess from outside, and found in one
//! or two lookups.
//!
//! Uses algorithm 4 of RFC 6056 §3.3.4 (double hash): for each destination, the search walks the
//! range in order from a secret offset. Walking in order means that the next port is the one whose
//! last connection is the oldest. When nearly all ports towards a destination are in TIME-WAIT, the
//! search starts with the port that leaves it first or is the safest to reuse.
//!
//! Owns the walks, no flows: the flow table knows the ports in use. When a whole walk finds no
//! port, the walk records this for the destination, and further opens take a few lookups only: at
//! the ports that were released since ([`Ports::on_released`]), and at the oldest one in TIME-WAIT,
//! since none becomes reusable before it.

use core::net::SocketAddr;
use core::ops::RangeInclusive;

use crate::shard::flow::key::FlowHasher;

/// Number of walks. Destinations with the same walk only share its progress (RFC 6056 §3.3.4,
/// TABLE_LENGTH). More walks occupy more cache; fewer mix more destinations.
const WALKS: usize = 1024;

/// Maximum number of recorded ports that became free after an exhausted walk. When more become
/// free, the walk resumes at the first of them.
const RELEASED_MAX: usize = 6;

/// Ports tried by an open towards a destination without free ports: enough to skip long-lived
/// connections, few enough to fail within microseconds.
const TRIES_WHEN_EXHAUSTED: u32 = 64;

/// State of a port towards one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum PortUse {
    /// No flow uses the port.
    Free,
    /// A flow in TIME-WAIT uses the port, and timestamps make it safe to reuse (RFC 6191).
    Reusable,
    /// A flow in TIME-WAIT uses the port and is too young to be reused.
    Waiting,
    /// A flow uses the port, or its segments would return to another worker.
    InUse,
}

/// The port of an open, and whether it replaces a TIME-WAIT entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The port.
    pub port: u16,
    /// True if the port was [`PortUse::Reusable`].
    pub reuses: bool,
}

/// A destination of active opens, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination(u64);

impl Destination {
    /// Creates the destination `remote` from local address number `local`.
    pub(crate) fn new(hasher: &FlowHasher, remote: SocketAddr, local: u8) -> Self {
        Self(hasher.hash_destination(remote, local))
    }

    const fn walk(self) -> usize {
        self.0 as usize % WALKS
    }

    const fn offset(self) -> u32 {
        (self.0 >> 16) as u16 as u32
    }

    const fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// One walk through the range.
#[derive(Clone, Copy)]
struct Walk {
    /// Next step, relative to the destination's offset.
    next: u16,
    /// Destination whose walk found no port.
    exhausted_tag: u32,
    exhausted: bool,
    released_len: u8,
    released: [u16; RELEASED_MAX],
}

/// The source ports of one worker.
pub(crate) struct Ports {
    first: u16,
    count: u32,
    walks: Box<[Walk]>,
}

impl Ports {
    /// Uses all of `range`, for a single worker, or where the flow's hash determines the owner.
    pub(crate) fn new(range: RangeInclusive<u16>) -> Self {
        // Port 0 means "any" to programs and "no flow" to the tables.
        let first = (*range.start()).max(1);
        let walk = Walk {
            next: 0,
            exhausted_tag: 0,
            exhausted: false,
            released_len: 0,
            released: [0; RELEASED_MAX],
        };
        Self {
            first,
            count: (u32::from(*range.end()) + 1).saturating_sub(u32::from(first)),
            walks: vec![walk; WALKS].into_boxed_slice(),
        }
    }

    /// Uses one worker's share of `range`, where only the port determines the owner.
    pub(crate) fn share(range: RangeInclusive<u16>, worker: u16, workers: u16) -> Self {
        let (first, end) = (u32::from((*range.start()).max(1)), u32::from(*range.end()) + 1);
        let count = end.saturating_sub(first);
        let workers = u32::from(workers.max(1));
        let worker = u32::from(worker).min(workers - 1);
        let cut = |n: u32| first + count * n / workers;
        let mut ports = Self::new(range);
        ports.first = cut(worker) as u16;
        ports.count = cut(worker + 1) - cut(worker);
        ports
    }

    /// Returns true if `port` is in this worker's range.
    pub(crate) const fn contains(&self, port: u16) -> bool {
        let step = (port as u32).wrapping_sub(self.first as u32);
        step < self.count
    }

    /// Chooses a port towards `destination`; `port_use` returns the state of a port. Returns `None`
    /// if no port is free or reusable.
    pub(crate) fn choose(
        &mut self,
        destination: Destination,
        mut port_use: impl FnMut(u16) -> PortUse,
    ) -> Option<Chosen> {
        let range = (self.first, self.count);
        let walk = &mut self.walks[destination.walk()];
        if walk.exhausted && walk.exhausted_tag == destination.tag() {
            let released = walk.choose_released(&mut port_use);
            return released.or_else(|| walk.choose_oldest(range, destination, port_use));
        }
        let mut oldest_waiting = None;
        for _ in 0..self.count {
            let port = walk.port(range, destination);
            let port_use = port_use(port);
            if port_use == PortUse::Waiting {
                oldest_waiting = oldest_waiting.or(Some(walk.next));
            }
            walk.advance(range);
            if let Some(chosen) = chosen(port, port_use) {
                return Some(chosen);
            }
        }
        walk.next = oldest_waiting.unwrap_or(walk.next);
        walk.exhausted = true;
        walk.exhausted_tag = destination.tag();
        walk.released_len = 0;
        None
    }

    /// Records that `port` towards `destination` became free or reusable. Nearly free of cost
    /// unless the destination is exhausted.
    pub(crate) fn on_released(&mut self, destination: Destination, port: u16) {
        if self.count == 0 || !self.contains(port) {
            return;
        }
        let (first, count) = (u32::from(self.first), self.count);
        let walk = &mut self.walks[destination.walk()];
        if !walk.exhausted || walk.exhausted_tag != destination.tag() {
            return;
        }
        let len = usize::from(walk.released_len);
        if len < RELEASED_MAX {
            walk.released[len] = port;
            walk.released_len += 1;
            return;
        }
        // Ports become free in the order of their use, so the others follow the first.
        walk.exhausted = false;
        let step = u32::from(walk.released[0]) - first;
        walk.next = ((step + count - destination.offset() % count) % count) as u16;
    }
}

impl Walk {
    /// Returns the port of the next step, in a range given as its first port and its length.
    fn port(&self, (first, count): (u16, u32), destination: Destination) -> u16 {
        first + ((destination.offset() + u32::from(self.next)) % count) as u16
    }

    fn advance(&mut self, (_, count): (u16, u32)) {
        self.next = ((u32::from(self.next) + 1) % count) as u16;
    }

    /// Returns the next usable port in order. Skips ports in use, but stops at a port that waits:
    /// it is the oldest, so the others wait longer.
    fn choose_oldest(
        &mut self,
        range: (u16, u32),
        destination: Destination,
        mut port_use: impl FnMut(u16) -> PortUse,
    ) -> Option<Chosen> {
        for _ in 0..TRIES_WHEN_EXHAUSTED.min(range.1) {
            let port = self.port(range, destination);
            let port_use = port_use(port);
            if port_use == PortUse::Waiting {
                return None;
            }
            self.advance(range);
            if let Some(chosen) = chosen(port, port_use) {
                return Some(chosen);
            }
        }
        None
    }

    fn choose_released(&mut self, mut port_use: impl FnMut(u16) -> PortUse) -> Option<Chosen> {
        while self.released_len > 0 {
            // The port released first has been unused the longest.
            let port = self.released[0];
            self.released.rotate_left(1);
            self.released_len -= 1;
            if let Some(chosen) = chosen(port, port_use(port)) {
                return Some(chosen);
            }
        }
        None
    }
}

fn chosen(port: u16, port_use: PortUse) -> Option<Chosen> {
    match port_use {
        PortUse::Free => Some(Chosen { port, reuses: false }),
        PortUse::Reusable => Some(Chosen { port, reuses: true }),
        PortUse::Waiting | PortUse::InUse => None,
    }
}
