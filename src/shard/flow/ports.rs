//! Our port of an active open (RFC 6056): hard to guess from outside, and found in one or two looks.
//!
//! Algorithm 4 of RFC 6056 §3.3.4 (double hash): towards each destination the range is walked in order from
//! a secret offset. Walking in order also means that the port tried next is the one whose last
//! connection is the oldest: when nearly all ports towards a destination are in TIME-WAIT, the one that
//! leaves it first, or may best be reused, comes first.
//!
//! Owns the walks, no flows: which port is in use is asked of the flow table. When a whole walk finds
//! nothing, that is remembered for the destination, and further opens take a few looks only: at the
//! ports that were released since ([`Ports::on_released`]), and at the oldest one in TIME-WAIT, before
//! which none can become reusable.

use core::net::SocketAddr;
use core::ops::RangeInclusive;

use crate::shard::flow::key::FlowHasher;

/// Walks kept. Destinations that share one only share its progress (RFC 6056 §3.3.4, TABLE_LENGTH); more
/// cost cache, fewer mix more destinations.
const WALKS: usize = 1024;

/// Ports remembered that became free after a walk found none. More than these, and the walk starts anew
/// at the first.
const RELEASED_MAX: usize = 6;

/// Ports looked at by an open towards a destination without free ports: enough to get past the
/// connections that stay, few enough to fail in microseconds.
const LOOKS_WHEN_EXHAUSTED: u32 = 64;

/// How a port stands towards one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PortUse {
    /// No flow has it.
    Free,
    /// A flow in TIME-WAIT has it, and timestamps make it safe to follow (RFC 6191).
    Reusable,
    /// A flow in TIME-WAIT has it, too young to be followed yet.
    Waiting,
    /// A flow has it, or its segments would come back to another worker.
    Taken,
}

/// A port for an open, and whether a TIME-WAIT entry must make way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The port.
    pub port: u16,
    /// Whether it was [`PortUse::Reusable`].
    pub reuses: bool,
}

/// Where active opens go: what our port is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination(u64);

impl Destination {
    /// Towards `remote` from our address number `local`.
    pub fn new(hasher: &FlowHasher, remote: SocketAddr, local: u8) -> Self {
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
    /// The next step, from the destination's offset.
    next: u16,
    /// Which destination found nothing.
    exhausted_tag: u32,
    exhausted: bool,
    released_len: u8,
    released: [u16; RELEASED_MAX],
}

/// The chooser of one worker.
pub struct Ports {
    first: u16,
    count: u32,
    walks: Box<[Walk]>,
}

impl Ports {
    /// All of `range` for this worker: where it is alone, or where the flow's hash tells the owner.
    pub fn new(range: RangeInclusive<u16>) -> Self {
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

    /// The share of `range` of one of `workers`: where nothing but the port tells the owner.
    pub fn share(range: RangeInclusive<u16>, worker: u16, workers: u16) -> Self {
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

    /// Whether `port` is in this worker's range.
    pub const fn contains(&self, port: u16) -> bool {
        let step = (port as u32).wrapping_sub(self.first as u32);
        step < self.count
    }

    /// A port towards `destination`; `port_use` tells how each one tried stands. `None`: all are taken.
    pub fn choose(
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

    /// A flow towards `destination` has left `port`, or may be followed now. Costs nothing to speak of
    /// unless the destination was found exhausted.
    pub fn on_released(&mut self, destination: Destination, port: u16) {
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
        // Ports come free in the order in which they were used, so that the others follow the first.
        walk.exhausted = false;
        let step = u32::from(walk.released[0]) - first;
        walk.next = ((step + count - destination.offset() % count) % count) as u16;
    }
}

impl Walk {
    /// The port of the next step, in a range given as its first port and its length.
    fn port(&self, (first, count): (u16, u32), destination: Destination) -> u16 {
        first + ((destination.offset() + u32::from(self.next)) % count) as u16
    }

    fn advance(&mut self, (_, count): (u16, u32)) {
        self.next = ((u32::from(self.next) + 1) % count) as u16;
    }

    /// The next port in order, past those that are taken, but never past one that waits: it is the
    /// oldest, so the others wait longer.
    fn choose_oldest(
        &mut self,
        range: (u16, u32),
        destination: Destination,
        mut port_use: impl FnMut(u16) -> PortUse,
    ) -> Option<Chosen> {
        for _ in 0..LOOKS_WHEN_EXHAUSTED.min(range.1) {
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
            // The one released first: it has been out of use the longest.
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
        PortUse::Waiting | PortUse::Taken => None,
    }
}
