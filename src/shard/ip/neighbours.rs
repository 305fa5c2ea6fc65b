//! The neighbour cache of RFC 4861 §7.3, used for ARP as well (RFC 1122 §2.3.2). Knows no packets.
//!
//! Owns the states, their deadlines and the frames that wait for resolution. Returns what to send
//! ([`Action::Solicit`]) and refuses to know packet formats. Unsolicited packets never make an
//! entry reachable: only replies to our own solicitations do. An unsolicited announcement updates
//! an existing entry, but leaves it stale, so that it is probed when it is used.
//!
//! Invariants: at most `capacity` entries, found by a keyed hash; solicitations for an entry are at
//! least [`NeighbourTimers::retransmit`] apart (RFC 1122 §2.3.2.1); every frame passed to
//! [`hold`](Neighbours::hold) is returned exactly once.

use std::collections::HashMap;

use core::net::IpAddr;

use crate::rng::Rng;
use crate::shard::flow::id::NeighbourId;
use crate::shard::ip::held::{Held, Queue};
use crate::shard::ip::neighbour::{
    Action, AdvertFlags, Entry, Learned, NeighbourTimers, Resolution, Solicit, State, Target,
};
use crate::shard::mem::keyed::Keyed;
use crate::shard::mem::wheel::Wheel;
use crate::time::{Duration, Instant};
use crate::wire::ethernet::MacAddr;

/// Maximum number of frames held for one neighbour. RFC 4861 §7.2.2 demands at least one. A burst
/// of SYNs to a new gateway needs more, since every lost SYN delays its connection by a second.
const HELD_PER_NEIGHBOUR: u32 = 64;
/// Maximum number of frames held in total: the share of the link's frames.
const HELD_MAX: usize = 256;
/// Entries examined to find one to evict. More find a better victim, fewer are cheaper in a flood.
const EVICTION_SAMPLE: usize = 16;

/// The neighbour cache, for frames of type `F`.
pub(crate) struct Neighbours<F> {
    entries: Vec<Entry>,
    by_address: HashMap<IpAddr, u16, Keyed>,
    capacity: usize,
    held: Held<F>,
    /// Frames of evicted entries, to be discarded.
    orphans: Queue,
    /// Entries to solicit in this turn.
    urgent: Vec<u16>,
    wheel: Wheel,
    /// The clock hand of eviction.
    hand: usize,
    timers: NeighbourTimers,
    rng: Rng,
}

impl<F> Neighbours<F> {
    /// Creates a cache of at most `capacity` neighbours. `secret` keys its hash and seeds its
    /// timers.
    pub(crate) fn new(
        capacity: usize,
        timers: NeighbourTimers,
        secret: [u8; 16],
        now: Instant,
    ) -> Self {
        let capacity = capacity.clamp(1, usize::from(u16::MAX) - 1);
        let seed = secret.iter().fold(0u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte));
        Self {
            entries: Vec::with_capacity(capacity),
            by_address: HashMap::with_capacity_and_hasher(capacity, Keyed::new(secret)),
            capacity,
            held: Held::new(HELD_MAX),
            orphans: Queue::EMPTY,
            urgent: Vec::with_capacity(capacity),
            wheel: Wheel::new(capacity, now),
            hand: 0,
            timers,
            rng: Rng::new(seed),
        }
    }

    /// Returns the neighbour with an address, and starts to resolve it if it is new. Returns `None`
    /// if the cache is full of entries that must stay.
    pub(crate) fn resolve(&mut self, now: Instant, address: IpAddr) -> Option<NeighbourId> {
        if let Some(id) = self.find(address) {
            return Some(id);
        }
        let index = self.admit(now, address, State::Probe)?;
        self.start_resolution(now, index);
        Some(self.id(index))
    }

    /// Returns the neighbour with an address, if it is in the cache.
    pub(crate) fn find(&self, address: IpAddr) -> Option<NeighbourId> {
        self.by_address.get(&address).map(|index| self.id(*index))
    }

    /// Returns true if a neighbour is still in the cache.
    #[inline]
    pub(crate) fn is_current(&self, id: NeighbourId) -> bool {
        self.index(id).is_some()
    }

    /// Returns how to send to a neighbour. Call this for every packet: the use of a stale entry
    /// starts its verification.
    #[inline]
    pub(crate) fn resolution(&mut self, now: Instant, id: NeighbourId) -> Resolution {
        let Some(entry) = self.entries.get_mut(usize::from(id.index)) else {
            return Resolution::Evicted;
        };
        if entry.generation != id.generation {
            return Resolution::Evicted;
        }
        entry.used_at = now;
        match entry.state {
            State::Reachable if now < entry.due_at => Resolution::Known(entry.mac),
            State::Permanent | State::Delay | State::Probe => Resolution::Known(entry.mac),
            // RFC 4861 §7.3.3: the first packet to a stale neighbour starts the delay.
            State::Reachable | State::Stale => {
                entry.state = State::Delay;
                entry.due_at = now + self.timers.delay;
                self.wheel.arm(u32::from(id.index), entry.due_at);
                Resolution::Known(entry.mac)
            }
            State::Incomplete => Resolution::Pending,
            State::Failed => {
                self.start_resolution(now, id.index);
                Resolution::Pending
            }
            State::Vacant => Resolution::Evicted,
        }
    }

    /// Holds a frame until the neighbour is resolved. Returns a frame that has no room: the oldest,
    /// or this one if the neighbour was evicted.
    pub(crate) fn hold(&mut self, id: NeighbourId, frame: F) -> Option<F> {
        let Some(index) = self.index(id) else { return Some(frame) };
        self.held.push(&mut self.entries[index].held, frame, HELD_PER_NEIGHBOUR)
    }

    /// Removes the oldest frame held for a neighbour.
    pub(crate) fn take_held(&mut self, id: NeighbourId) -> Option<F> {
        let index = self.index(id)?;
        self.held.pop(&mut self.entries[index].held)
    }

    /// Returns one action that is due per call.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Action<F>> {
        if let Some(frame) = self.held.pop(&mut self.orphans) {
            return Some(Action::Discard(frame));
        }
        while let Some(index) = self.urgent.pop() {
            let entry = &mut self.entries[usize::from(index)];
            if core::mem::take(&mut entry.urgent) && entry.state == State::Incomplete {
                return Some(self.solicit(now, index));
            }
        }
        while let Some(owner) = self.wheel.pop(now) {
            if let Some(action) = self.on_due(now, owner as u16) {
                return Some(action);
            }
        }
        None
    }

    /// Returns the time at which to call [`poll`](Self::poll) next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if !self.urgent.is_empty() || !self.orphans.is_empty() {
            return Some(Instant::ZERO);
        }
        self.wheel.next_deadline()
    }

    /// Confirms reachability: TCP has made progress through the neighbour, which counts like a
    /// reply (RFC 4861 §7.3.1).
    #[inline]
    pub(crate) fn on_confirmed(&mut self, now: Instant, id: NeighbourId) {
        let reachable = self.timers.reachable;
        let Some(index) = self.index(id) else { return };
        let entry = &mut self.entries[index];
        if matches!(entry.state, State::Reachable | State::Stale | State::Delay | State::Probe) {
            entry.state = State::Reachable;
            entry.due_at = entry.due_at.max(now + reachable);
        }
    }

    /// Makes a reachable entry stale, so that its next use verifies it: retransmissions through the
    /// neighbour stay unanswered (RFC 9293 §3.8.3 (b), RFC 1122 §3.3.1.4).
    pub(crate) fn on_negative_advice(&mut self, id: NeighbourId) {
        let Some(index) = self.index(id) else { return };
        let entry = &mut self.entries[index];
        if entry.state == State::Reachable {
            entry.state = State::Stale;
        }
    }

    /// Processes an ARP reply or announcement, or a neighbour advertisement. `mac` is `None` if the
    /// advertisement has no link-layer address option.
    pub(crate) fn on_advert(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: Option<MacAddr>,
        flags: AdvertFlags,
    ) -> Learned {
        // RFC 4861 §7.2.5: if no entry exists, the advertisement SHOULD be silently discarded.
        let Some(index) = self.by_address.get(&address).copied() else { return Learned::Nothing };
        let entry = &mut self.entries[usize::from(index)];
        let soliciting = matches!(entry.state, State::Incomplete | State::Probe);
        let solicited = flags.solicited && soliciting;
        match (entry.state, mac) {
            (State::Permanent | State::Vacant, _) => Learned::Nothing,
            (State::Incomplete | State::Failed, None) => Learned::Nothing,
            (State::Incomplete | State::Failed, Some(mac)) => {
                self.learn(now, index, mac, solicited);
                Learned::Resolved(self.id(index))
            }
            (_, mac) => {
                let mac = mac.unwrap_or(entry.mac);
                if mac != entry.mac && !flags.overrides {
                    // RFC 4861 §7.2.5, I: reachable becomes stale, and nothing else changes.
                    if entry.state == State::Reachable {
                        entry.state = State::Stale;
                    }
                } else if solicited || mac != entry.mac {
                    self.learn(now, index, mac, solicited);
                } else if flags.solicited {
                    // A late reply that confirms the cached address.
                    self.learn(now, index, mac, true);
                }
                Learned::Nothing
            }
        }
    }

    /// Processes the sender's MAC address in an ARP request, a solicitation or a router
    /// advertisement. Creates an entry only if the packet is for a local address; otherwise only
    /// updates an existing one (RFC 826).
    pub(crate) fn on_source_mac(
        &mut self,
        now: Instant,
        address: IpAddr,
        mac: MacAddr,
        target: Target,
    ) -> Learned {
        let Some(index) = self.by_address.get(&address).copied() else {
            if target == Target::Local {
                // A flood of requests may evict only entries of little use.
                if let Some(index) = self.admit(now, address, State::Stale) {
                    self.learn(now, index, mac, false);
                }
            }
            return Learned::Nothing;
        };
        let entry = &self.entries[usize::from(index)];
        match entry.state {
            State::Permanent | State::Vacant => Learned::Nothing,
            State::Incomplete | State::Failed => {
                self.learn(now, index, mac, false);
                Learned::Resolved(self.id(index))
            }
            _ => {
                if entry.mac != mac {
                    self.learn(now, index, mac, false);
                }
                Learned::Nothing
            }
        }
    }

    /// Sets a permanent entry: configured by the operator, or mirrored from the kernel in shared
    /// mode.
    pub(crate) fn set_permanent(&mut self, now: Instant, address: IpAddr, mac: MacAddr) -> Learned {
        let known = self.by_address.get(&address).copied();
        let Some(index) = known.or_else(|| self.admit(now, address, State::Probe)) else {
            return Learned::Nothing;
        };
        let entry = &mut self.entries[usize::from(index)];
        entry.mac = mac;
        entry.state = State::Permanent;
        if entry.held.is_empty() { Learned::Nothing } else { Learned::Resolved(self.id(index)) }
    }

    /// Removes a neighbour. Its held frames are returned by [`Action::Discard`].
    pub(crate) fn forget(&mut self, address: IpAddr) {
        if let Some(index) = self.by_address.get(&address).copied() {
            self.vacate(index);
        }
    }

    /// Sets the timers that a router advertises; `None` keeps the present value (RFC 4861 §6.3.4).
    pub(crate) fn set_timers(&mut self, retransmit: Option<Duration>, reachable: Option<Duration>) {
        self.timers.retransmit = retransmit.unwrap_or(self.timers.retransmit);
        self.timers.reachable = reachable.unwrap_or(self.timers.reachable);
    }

    /// Returns the number of neighbours in the cache.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.by_address.len()
    }

    fn id(&self, index: u16) -> NeighbourId {
        NeighbourId { index, generation: self.entries[usize::from(index)].generation }
    }

    #[inline]
    fn index(&self, id: NeighbourId) -> Option<usize> {
        let index = usize::from(id.index);
        let entry = self.entries.get(index)?;
        (entry.generation == id.generation && entry.state != State::Vacant).then_some(index)
    }
}

impl<F> Neighbours<F> {
    /// Starts resolution: at once, or [`NeighbourTimers::retransmit`] after the last solicitation.
    fn start_resolution(&mut self, now: Instant, index: u16) {
        let entry = &mut self.entries[usize::from(index)];
        entry.state = State::Incomplete;
        entry.solicits = 0;
        entry.due_at = now;
        if entry.solicited_at != Instant::ZERO {
            entry.due_at = now.max(entry.solicited_at + self.timers.retransmit);
        }
        if entry.due_at > now {
            self.wheel.arm(u32::from(index), entry.due_at);
        } else if !entry.urgent {
            entry.urgent = true;
            self.urgent.push(index);
        }
    }

    fn on_due(&mut self, now: Instant, index: u16) -> Option<Action<F>> {
        let id = self.id(index);
        let entry = self.entries.get_mut(usize::from(index))?;
        if !matches!(entry.state, State::Incomplete | State::Delay | State::Probe) {
            return None;
        }
        if entry.due_at > now {
            self.wheel.arm(u32::from(index), entry.due_at);
            return None;
        }
        if entry.state == State::Delay {
            entry.state = State::Probe;
            entry.solicits = 0;
        }
        if entry.solicits >= self.timers.solicits_max {
            entry.state = State::Failed;
            return Some(Action::Failed { id, address: entry.address });
        }
        Some(self.solicit(now, index))
    }

    fn solicit(&mut self, now: Instant, index: u16) -> Action<F> {
        let entry = &mut self.entries[usize::from(index)];
        entry.solicits += 1;
        entry.solicited_at = now;
        entry.due_at = now + self.timers.retransmit;
        self.wheel.arm(u32::from(index), entry.due_at);
        let probe = entry.state == State::Probe;
        let to = if probe { Solicit::Unicast(entry.mac) } else { Solicit::Multicast };
        Action::Solicit { address: entry.address, to }
    }

    fn learn(&mut self, now: Instant, index: u16, mac: MacAddr, reachable: bool) {
        // RFC 4861 §6.3.2: between 0.5 and 1.5 times the base, so that hosts do not solicit in
        // step.
        let span = self.timers.reachable.as_nanos();
        let drawn = Duration::from_nanos(span / 2 + self.rng.below(span.max(1)));
        let entry = &mut self.entries[usize::from(index)];
        entry.mac = mac;
        entry.state = if reachable { State::Reachable } else { State::Stale };
        entry.due_at = now + drawn;
    }

    /// Creates an entry for a new address. Evicts no entry in a state above `highest`.
    fn admit(&mut self, now: Instant, address: IpAddr, highest: State) -> Option<u16> {
        let index = self.free_slot(now, highest)?;
        let entry = Entry::new(now, address);
        match self.entries.get_mut(usize::from(index)) {
            Some(old) => *old = Entry { generation: old.generation, urgent: old.urgent, ..entry },
            None => self.entries.push(entry),
        }
        self.by_address.insert(address, index);
        Some(index)
    }

    /// Returns a free slot. If there is none, evicts the least useful of the next few entries.
    fn free_slot(&mut self, now: Instant, highest: State) -> Option<u16> {
        if self.entries.len() < self.capacity {
            return Some(self.entries.len() as u16);
        }
        let mut worst = None;
        for _ in 0..EVICTION_SAMPLE.min(self.entries.len()) {
            self.hand = (self.hand + 1) % self.entries.len();
            let entry = &self.entries[self.hand];
            let expired = entry.state == State::Reachable && entry.due_at <= now;
            let state = if expired { State::Stale } else { entry.state };
            let rank = (state as u8, entry.used_at);
            if state as u8 <= highest as u8 && worst.is_none_or(|(least, _)| rank < least) {
                worst = Some((rank, self.hand as u16));
            }
        }
        let (_, index) = worst?;
        self.vacate(index);
        Some(index)
    }

    fn vacate(&mut self, index: u16) {
        let entry = &mut self.entries[usize::from(index)];
        if entry.state == State::Vacant {
            return;
        }
        entry.state = State::Vacant;
        entry.generation = entry.generation.wrapping_add(1);
        let held = core::mem::replace(&mut entry.held, Queue::EMPTY);
        self.by_address.remove(&entry.address);
        self.held.append(&mut self.orphans, held);
    }
}
