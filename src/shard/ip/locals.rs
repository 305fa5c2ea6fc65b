//! The local addresses of a shard, by number: the flow table stores an 8-bit number instead of a
//! 16-byte address.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::LOCAL_ADDRESSES_MAX;
use crate::shard::ip::routes::Prefix;
use crate::time::Instant;
use crate::wire::{MacAddr, ndp};

/// The state of a local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// In duplicate address detection, not usable yet (RFC 4862 §2).
    Tentative,
    /// Usable without restriction.
    Preferred,
    /// Usable for existing connections and for passive opens. Active opens use it only if there is
    /// no preferred address (RFC 4862 §5.5.4).
    Deprecated,
    /// Not usable: the host with this MAC address has it.
    Refused(MacAddr),
    /// No longer valid.
    Removed,
}

/// A local address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Local {
    pub(in crate::shard) address: IpAddr,
    /// Prefix length of its network, bits.
    pub(in crate::shard) prefix: u8,
    pub(in crate::shard) state: AddressState,
    defended_at: Option<Instant>,
}

impl Local {
    const fn is_usable(&self) -> bool {
        matches!(self.state, AddressState::Preferred | AddressState::Deprecated)
    }
}

/// The local addresses, by number. Those in use are also indexed by address.
#[derive(Debug)]
pub(in crate::shard) struct Locals {
    entries: Vec<Local>,
    /// Hash table with open addressing. It is never full, so every search ends at an empty slot.
    /// The addresses are local, so an attacker cannot choose them to collide.
    slots: Box<[u16; SLOTS]>,
    /// Hash table of the IPv4 addresses, each beside its number: every packet needs two lookups.
    slots_v4: Box<[(u32, u16); SLOTS]>,
    /// Filter in front of `slots_v4`: rejects most addresses that are not local with one test.
    suffixes: SuffixFilter,
    /// Filter of the broadcast addresses of the local networks.
    broadcast_suffixes: SuffixFilter,
}

/// A set of IPv4 addresses, approximated by their last six bits. It has no false negatives.
#[derive(Clone, Copy, Debug, Default)]
struct SuffixFilter(u64);

impl SuffixFilter {
    /// Returns a filter that holds the limited broadcast address (RFC 919).
    fn of_broadcast() -> Self {
        Self(Self::bit(Ipv4Addr::BROADCAST))
    }

    fn insert(&mut self, address: Ipv4Addr) {
        self.0 |= Self::bit(address);
    }

    #[inline]
    fn may_hold(self, address: Ipv4Addr) -> bool {
        self.0 & Self::bit(address) != 0
    }

    #[inline]
    const fn bit(address: Ipv4Addr) -> u64 {
        1 << (address.octets()[3] % 64)
    }
}

const SLOTS: usize = 1024;
const EMPTY: u16 = u16::MAX;
const _: () = assert!(SLOTS > LOCAL_ADDRESSES_MAX);

impl Locals {
    /// Creates the table with tentative addresses. Ignores duplicates, and addresses beyond the
    /// limit.
    pub(in crate::shard) fn new(addresses: &[(IpAddr, u8)]) -> Self {
        let mut locals = Self {
            entries: Vec::new(),
            slots: Box::new([EMPTY; SLOTS]),
            slots_v4: Box::new([(0, EMPTY); SLOTS]),
            suffixes: SuffixFilter::default(),
            broadcast_suffixes: SuffixFilter::of_broadcast(),
        };
        for (address, prefix) in addresses {
            locals.add(*address, *prefix);
        }
        locals
    }

    /// Adds a tentative address. Returns its number; `None` if it exists or the table is full.
    pub(in crate::shard) fn add(&mut self, address: IpAddr, prefix: u8) -> Option<u8> {
        if self.number_of(address).is_some() || self.entries.len() == LOCAL_ADDRESSES_MAX {
            return None;
        }
        let state = AddressState::Tentative;
        self.entries.push(Local { address, prefix, state, defended_at: None });
        Some((self.entries.len() - 1) as u8)
    }

    /// Adds an autoconfigured address as tentative, or makes a removed or refused one tentative
    /// again. Returns its number; `None` if it is in use already or the table is full.
    pub(in crate::shard) fn adopt(&mut self, address: IpAddr, prefix: u8) -> Option<u8> {
        let known = self.number_of(address).or_else(|| {
            // If the table is full, reuse the number of a removed address.
            let removed = |local: &Local| local.state == AddressState::Removed;
            let full = self.entries.len() == LOCAL_ADDRESSES_MAX;
            self.entries.iter().position(removed).filter(|_| full).map(|at| at as u8)
        });
        let Some(number) = known else { return self.add(address, prefix) };
        let local = &mut self.entries[usize::from(number)];
        if !matches!(local.state, AddressState::Removed | AddressState::Refused(_)) {
            return None;
        }
        *local = Local { address, prefix, state: AddressState::Tentative, defended_at: None };
        Some(number)
    }

    /// Sets the state of an address. [`find`](Self::find) finds it only while it is usable.
    pub(in crate::shard) fn set_state(&mut self, number: u8, state: AddressState) {
        let local = &mut self.entries[usize::from(number)];
        let was_usable = local.is_usable();
        local.state = state;
        match (was_usable, local.is_usable()) {
            (false, true) => self.index(number),
            (true, false) => self.rebuild_index(),
            _ => {}
        }
    }

    fn index(&mut self, number: u8) {
        let address = self.address(number);
        let slot = self.slot(address);
        self.slots[slot] = number.into();
        if let IpAddr::V4(v4) = address {
            let slot = self.slot_v4(v4.to_bits());
            self.slots_v4[slot] = (v4.to_bits(), number.into());
            self.suffixes.insert(v4);
            let length = self.entries[usize::from(number)].prefix;
            if let Some(broadcast) = Prefix::new(address, length).broadcast() {
                self.broadcast_suffixes.insert(broadcast);
            }
        }
    }

    /// Rebuilds the index: open addressing does not support the removal of one entry.
    fn rebuild_index(&mut self) {
        self.slots.fill(EMPTY);
        self.slots_v4.fill((0, EMPTY));
        (self.suffixes, self.broadcast_suffixes) =
            (SuffixFilter::default(), SuffixFilter::of_broadcast());
        for number in self.numbers() {
            if self.entries[usize::from(number)].is_usable() {
                self.index(number);
            }
        }
    }

    /// Returns the numbers of all addresses.
    pub(in crate::shard) fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        (0..self.entries.len()).map(|number| number as u8)
    }

    /// Returns the number of an address in any state. Linear search, for rare cases.
    pub(in crate::shard) fn number_of(&self, address: IpAddr) -> Option<u8> {
        self.entries.iter().position(|local| local.address == address).map(|at| at as u8)
    }

    /// Returns the state of an address.
    pub(in crate::shard) fn state(&self, number: u8) -> AddressState {
        self.entries[usize::from(number)].state
    }

    /// Returns true if an address is in duplicate address detection.
    pub(in crate::shard) fn is_tentative(&self, address: IpAddr) -> bool {
        let tentative = |number| self.state(number) == AddressState::Tentative;
        self.number_of(address).is_some_and(tentative)
    }

    /// Returns the time at which an address was last defended against another host.
    pub(in crate::shard) fn defended_at(&self, number: u8) -> Option<Instant> {
        self.entries[usize::from(number)].defended_at
    }

    /// Records that an address was defended.
    pub(in crate::shard) fn set_defended(&mut self, number: u8, now: Instant) {
        self.entries[usize::from(number)].defended_at = Some(now);
    }

    /// Returns the number of an address, if it is local and usable.
    #[inline]
    pub(in crate::shard) fn find(&self, address: IpAddr) -> Option<u8> {
        let at = self.slots[self.slot(address)];
        (at != EMPTY).then_some(at as u8)
    }

    /// Returns the number of an IPv4 address, if it is local and usable.
    #[inline]
    pub(in crate::shard) fn find_v4(&self, address: Ipv4Addr) -> Option<u8> {
        let (_, number) = self.slots_v4[self.slot_v4(address.to_bits())];
        (number != EMPTY).then_some(number as u8)
    }

    /// Returns true if an IPv4 address is local and usable. Fast for addresses that are not.
    #[inline]
    pub(in crate::shard) fn holds_v4(&self, address: Ipv4Addr) -> bool {
        self.suffixes.may_hold(address) && self.find_v4(address).is_some()
    }

    /// Returns true if an IPv4 address may be a broadcast address: limited, or of a local network.
    /// False positives are possible.
    #[inline]
    pub(in crate::shard) fn may_be_broadcast(&self, address: Ipv4Addr) -> bool {
        self.broadcast_suffixes.may_hold(address)
    }

    #[inline]
    fn slot_v4(&self, bits: u32) -> usize {
        let mut at = start(u64::from(bits));
        loop {
            let (other, number) = self.slots_v4[at % SLOTS];
            if number == EMPTY || other == bits {
                return at % SLOTS;
            }
            at += 1;
        }
    }

    /// Returns the address with a number.
    #[inline]
    pub(in crate::shard) fn address(&self, number: u8) -> IpAddr {
        self.entries[usize::from(number)].address
    }

    /// Returns all addresses, ordered by number.
    pub(in crate::shard) fn all(&self) -> impl Iterator<Item = &Local> {
        self.entries.iter()
    }

    /// Returns the usable addresses.
    pub(in crate::shard) fn usable(&self) -> impl Iterator<Item = &Local> {
        self.entries.iter().filter(|local| local.is_usable())
    }

    /// Returns the number of addresses of a family from which active opens rotate.
    pub(in crate::shard) fn count(&self, ipv6: bool) -> usize {
        self.of_family(ipv6).count()
    }

    /// Returns the number of the `n`-th of these addresses, modulo their count.
    pub(in crate::shard) fn rotate(&self, ipv6: bool, n: usize) -> Option<u8> {
        let chosen = self.of_family(ipv6).nth(n.checked_rem(self.count(ipv6))?)?;
        self.find(chosen.address)
    }

    fn of_family(&self, ipv6: bool) -> impl Iterator<Item = &Local> {
        let of = move |l: &Local| l.address.is_ipv6() == ipv6 && !is_link_local(l.address);
        // RFC 4862 §5.5.4: a deprecated address is not used for new communications if there is
        // another.
        let preferred = move |l: &Local| of(l) && l.state == AddressState::Preferred;
        let only_deprecated = !self.entries.iter().any(preferred);
        self.usable().filter(move |l| if only_deprecated { of(l) } else { preferred(l) })
    }

    /// Returns true for all nodes, and for the solicited-node group of a local address (RFC 4291
    /// §2.7.1).
    pub(in crate::shard) fn is_local_group(&self, group: Ipv6Addr) -> bool {
        group == ndp::ALL_NODES
            || self.entries.iter().any(|l| match l.address {
                IpAddr::V6(address) => ndp::solicited_node(address) == group,
                IpAddr::V4(_) => false,
            })
    }

    /// Returns the slot of an address, or the empty slot where it would be.
    #[inline]
    fn slot(&self, address: IpAddr) -> usize {
        let folded = match address {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32)
            }
        };
        let mut at = start(folded);
        loop {
            let number = self.slots[at];
            if number == EMPTY || self.entries[usize::from(number)].address == address {
                return at;
            }
            at = (at + 1) % SLOTS;
        }
    }
}

/// Returns the slot at which the search for an address starts.
#[inline]
const fn start(folded: u64) -> usize {
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(n: u32) -> Vec<(IpAddr, u8)> {
        (0..n).map(|i| (IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + i)), 8)).collect()
    }

    fn settled(addresses: &[(IpAddr, u8)]) -> Locals {
        let mut locals = Locals::new(addresses);
        for number in locals.numbers() {
            locals.set_state(number, AddressState::Preferred);
        }
        locals
    }

    #[test]
    fn only_usable_addresses_are_found() {
        // RFC 4862 §5.4: a tentative address is not assigned.
        let addresses = many(200);
        let mut locals = Locals::new(&addresses);
        let found =
            |locals: &Locals| addresses.iter().filter(|(a, _)| locals.find(*a).is_some()).count();
        assert_eq!((found(&locals), locals.usable().count(), locals.count(false)), (0, 0, 0));
        assert!(locals.is_tentative(addresses[3].0));
        for number in locals.numbers() {
            locals.set_state(number, AddressState::Preferred);
        }
        assert_eq!(found(&locals), 200);
        for number in 0..100 {
            locals.set_state(number, AddressState::Removed);
        }
        assert_eq!((found(&locals), locals.find(addresses[150].0)), (100, Some(150)));
        assert_eq!(locals.number_of(addresses[3].0), Some(3));
    }

    #[test]
    fn active_opens_avoid_a_deprecated_address_while_there_is_another() {
        // RFC 4862 §5.5.4
        let mut locals = settled(&many(2));
        locals.set_state(0, AddressState::Deprecated);
        assert_eq!((locals.rotate(false, 0), locals.rotate(false, 1)), (Some(1), Some(1)));
        assert!(locals.find(many(1)[0].0).is_some(), "passive opens still use it");
        locals.set_state(1, AddressState::Removed);
        assert_eq!(locals.rotate(false, 0), Some(0));
    }

    #[test]
    fn every_address_is_found_by_its_number_and_back() {
        let locals = settled(&many(256));
        for (number, (address, _)) in many(256).iter().enumerate() {
            assert_eq!(locals.find(*address), Some(number as u8));
            let IpAddr::V4(v4) = *address else { continue };
            assert_eq!(locals.find_v4(v4), Some(number as u8));
            assert_eq!(locals.address(number as u8), *address);
        }
        assert_eq!(locals.find("10.0.1.1".parse().expect("an address")), None);
        assert_eq!(locals.find_v4(Ipv4Addr::new(10, 0, 1, 1)), None);
    }

    #[test]
    fn the_suffix_filters_have_no_false_negatives() {
        let mut locals = settled(&many(100));
        let added: Vec<_> = locals.all().map(|local| (local.address, local.prefix)).collect();
        for (address, prefix) in added {
            let IpAddr::V4(v4) = address else { continue };
            assert!(locals.holds_v4(v4));
            let broadcast = Prefix::new(address, prefix).broadcast();
            assert!(broadcast.is_none_or(|broadcast| locals.may_be_broadcast(broadcast)));
        }
        assert!(locals.may_be_broadcast(Ipv4Addr::BROADCAST));
        assert!((1..=255).all(|n| !locals.holds_v4(Ipv4Addr::new(172, 16, 0, n))));
        for number in locals.numbers() {
            locals.set_state(number, AddressState::Removed);
        }
        assert!((0..=255).all(|n| !locals.holds_v4(Ipv4Addr::new(10, 0, 0, n))));
        assert!(!locals.may_be_broadcast(Ipv4Addr::new(10, 0, 0, 3)));
        assert!(locals.may_be_broadcast(Ipv4Addr::BROADCAST));
    }

    #[test]
    fn source_addresses_are_used_in_turn_by_family() {
        let mut addresses = many(2);
        addresses.push(("2001:db8::1".parse().expect("an address"), 64));
        addresses.push(("fe80::1".parse().expect("an address"), 64));
        let locals = settled(&addresses);
        let v4: Vec<_> = (0..3).map(|n| locals.rotate(false, n)).collect();
        assert_eq!(v4, [Some(0), Some(1), Some(0)]);
        assert_eq!(locals.rotate(true, 7), Some(2));
        assert_eq!(settled(&many(1)).rotate(true, 0), None);
    }

    #[test]
    fn solicited_node_groups_of_local_addresses_are_local() {
        let address: Ipv6Addr = "2001:db8::12:3456".parse().expect("an address");
        let locals = Locals::new(&[(IpAddr::V6(address), 64)]);
        assert_eq!(ndp::solicited_node(address).to_string(), "ff02::1:ff12:3456");
        assert!(locals.is_local_group(ndp::solicited_node(address)));
        assert!(locals.is_local_group("ff02::1".parse().expect("a group")));
        assert!(!locals.is_local_group("ff02::1:ff12:3457".parse().expect("a group")));
    }
}
