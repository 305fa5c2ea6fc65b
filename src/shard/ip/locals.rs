//! The shard's own addresses, by number: the flow table keeps 8 bits of an address, not 16 bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::LOCAL_ADDRESSES_MAX;
use crate::shard::ip::routes::Prefix;
use crate::time::Instant;
use crate::wire::{MacAddr, ndp};

/// How an address of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Not ours yet: it is asked whether somebody has it (RFC 4862 §2).
    Tentative,
    /// Ours.
    Preferred,
    /// Ours for what is open and what comes in; not used for opens while there is another (RFC 4862
    /// §5.5.4).
    Deprecated,
    /// Another station has it.
    Refused(MacAddr),
    /// Ours no longer.
    Removed,
}

/// One of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) struct Local {
    pub(in crate::shard) address: IpAddr,
    /// Bits of its network.
    pub(in crate::shard) prefix: u8,
    pub(in crate::shard) state: AddressState,
    defended_at: Option<Instant>,
}

impl Local {
    const fn is_usable(&self) -> bool {
        matches!(self.state, AddressState::Preferred | AddressState::Deprecated)
    }
}

/// All of them, by number; those that are ours to use are found by address.
#[derive(Debug)]
pub(in crate::shard) struct Locals {
    entries: Vec<Local>,
    /// Open addressing over twice the largest number of addresses, so that a search always ends at
    /// an empty place. The addresses are ours, so nobody can pick them to collide.
    places: Box<[u16; PLACES]>,
    /// The IPv4 addresses again, each beside its number: every packet asks for two.
    places_v4: Box<[(u32, u16); PLACES]>,
    /// How the IPv4 addresses end: most strangers' addresses end otherwise, which one look tells.
    tails: Tails,
    /// How the broadcast addresses of their networks end.
    broadcast_tails: Tails,
}

/// Endings of IPv4 addresses, by their last six bits.
#[derive(Clone, Copy, Debug, Default)]
struct Tails(u64);

impl Tails {
    /// That of every network's broadcast address (RFC 919).
    fn of_broadcasts() -> Self {
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

const PLACES: usize = 1024;
const EMPTY: u16 = u16::MAX;
const _: () = assert!(PLACES > LOCAL_ADDRESSES_MAX);

impl Locals {
    /// The addresses of a configuration, tentative all of them; a second mention and what is past
    /// the limit is left out.
    pub(in crate::shard) fn new(addresses: &[(IpAddr, u8)]) -> Self {
        let mut locals = Self {
            entries: Vec::new(),
            places: Box::new([EMPTY; PLACES]),
            places_v4: Box::new([(0, EMPTY); PLACES]),
            tails: Tails::default(),
            broadcast_tails: Tails::of_broadcasts(),
        };
        for (address, prefix) in addresses {
            locals.add(*address, *prefix);
        }
        locals
    }

    /// Another one, tentative. Gives its number, unless it was there or there are too many.
    pub(in crate::shard) fn add(&mut self, address: IpAddr, prefix: u8) -> Option<u8> {
        if self.number_of(address).is_some() || self.entries.len() == LOCAL_ADDRESSES_MAX {
            return None;
        }
        let state = AddressState::Tentative;
        self.entries.push(Local { address, prefix, state, defended_at: None });
        Some((self.entries.len() - 1) as u8)
    }

    /// One that was formed, tentative; one that was there before, and is not in use, is so again.
    pub(in crate::shard) fn adopt(&mut self, address: IpAddr, prefix: u8) -> Option<u8> {
        let known = self.number_of(address).or_else(|| {
            // When there is no room, the place of one that is no longer ours.
            let gone = |local: &Local| local.state == AddressState::Removed;
            let full = self.entries.len() == LOCAL_ADDRESSES_MAX;
            self.entries.iter().position(gone).filter(|_| full).map(|at| at as u8)
        });
        let Some(number) = known else { return self.add(address, prefix) };
        let local = &mut self.entries[usize::from(number)];
        if !matches!(local.state, AddressState::Removed | AddressState::Refused(_)) {
            return None;
        }
        *local = Local { address, prefix, state: AddressState::Tentative, defended_at: None };
        Some(number)
    }

    /// Changes how an address stands: from now on it is found by [`find`](Self::find), or no
    /// longer.
    pub(in crate::shard) fn set_state(&mut self, number: u8, state: AddressState) {
        let local = &mut self.entries[usize::from(number)];
        let was_usable = local.is_usable();
        local.state = state;
        match (was_usable, local.is_usable()) {
            (false, true) => self.enter(number),
            (true, false) => self.enter_all(),
            _ => {}
        }
    }

    fn enter(&mut self, number: u8) {
        let address = self.address(number);
        let place = self.place(address);
        self.places[place] = number.into();
        if let IpAddr::V4(v4) = address {
            let place = self.place_v4(v4.to_bits());
            self.places_v4[place] = (v4.to_bits(), number.into());
            self.tails.insert(v4);
            let length = self.entries[usize::from(number)].prefix;
            if let Some(broadcast) = Prefix::new(address, length).broadcast() {
                self.broadcast_tails.insert(broadcast);
            }
        }
    }

    /// An entry cannot be taken out of open addressing alone.
    fn enter_all(&mut self) {
        self.places.fill(EMPTY);
        self.places_v4.fill((0, EMPTY));
        (self.tails, self.broadcast_tails) = (Tails::default(), Tails::of_broadcasts());
        for number in self.numbers() {
            if self.entries[usize::from(number)].is_usable() {
                self.enter(number);
            }
        }
    }

    /// The numbers of all.
    pub(in crate::shard) fn numbers(&self) -> impl Iterator<Item = u8> + use<> {
        (0..self.entries.len()).map(|number| number as u8)
    }

    /// The number of an address, however it stands. Looks at each: for what is rare.
    pub(in crate::shard) fn number_of(&self, address: IpAddr) -> Option<u8> {
        self.entries.iter().position(|local| local.address == address).map(|at| at as u8)
    }

    /// How an address stands.
    pub(in crate::shard) fn state(&self, number: u8) -> AddressState {
        self.entries[usize::from(number)].state
    }

    /// Whether an address is to be ours, and is not yet.
    pub(in crate::shard) fn is_tentative(&self, address: IpAddr) -> bool {
        let tentative = |number| self.state(number) == AddressState::Tentative;
        self.number_of(address).is_some_and(tentative)
    }

    /// When it was last defended against another station.
    pub(in crate::shard) fn defended_at(&self, number: u8) -> Option<Instant> {
        self.entries[usize::from(number)].defended_at
    }

    /// It is defended now.
    pub(in crate::shard) fn set_defended(&mut self, number: u8, now: Instant) {
        self.entries[usize::from(number)].defended_at = Some(now);
    }

    /// The number of an address, if it is ours.
    #[inline]
    pub(in crate::shard) fn find(&self, address: IpAddr) -> Option<u8> {
        let at = self.places[self.place(address)];
        (at != EMPTY).then_some(at as u8)
    }

    /// The number of an IPv4 address, if it is ours.
    #[inline]
    pub(in crate::shard) fn find_v4(&self, address: Ipv4Addr) -> Option<u8> {
        let (_, number) = self.places_v4[self.place_v4(address.to_bits())];
        (number != EMPTY).then_some(number as u8)
    }

    /// Whether an IPv4 address is ours, which a stranger's seldom is.
    #[inline]
    pub(in crate::shard) fn holds_v4(&self, address: Ipv4Addr) -> bool {
        self.tails.may_hold(address) && self.find_v4(address).is_some()
    }

    /// Whether an IPv4 address may be a broadcast address, that of a network of ours or of all: it
    /// ends as one does.
    #[inline]
    pub(in crate::shard) fn may_be_broadcast(&self, address: Ipv4Addr) -> bool {
        self.broadcast_tails.may_hold(address)
    }

    #[inline]
    fn place_v4(&self, bits: u32) -> usize {
        let mut at = start(u64::from(bits));
        loop {
            let (theirs, number) = self.places_v4[at % PLACES];
            if number == EMPTY || theirs == bits {
                return at % PLACES;
            }
            at += 1;
        }
    }

    /// The address with a number that [`find`](Self::find) gave.
    #[inline]
    pub(in crate::shard) fn address(&self, number: u8) -> IpAddr {
        self.entries[usize::from(number)].address
    }

    /// All, in order of their numbers.
    pub(in crate::shard) fn all(&self) -> impl Iterator<Item = &Local> {
        self.entries.iter()
    }

    /// Those that are ours to use.
    pub(in crate::shard) fn usable(&self) -> impl Iterator<Item = &Local> {
        self.entries.iter().filter(|local| local.is_usable())
    }

    /// Addresses of a family that active opens may use.
    pub(in crate::shard) fn count(&self, ipv6: bool) -> usize {
        self.of_family(ipv6).count()
    }

    /// The number of the `n`-th of them, counted round and round.
    pub(in crate::shard) fn rotate(&self, ipv6: bool, n: usize) -> Option<u8> {
        let chosen = self.of_family(ipv6).nth(n.checked_rem(self.count(ipv6))?)?;
        self.find(chosen.address)
    }

    fn of_family(&self, ipv6: bool) -> impl Iterator<Item = &Local> {
        let of = move |l: &Local| l.address.is_ipv6() == ipv6 && !is_link_local(l.address);
        // RFC 4862 §5.5.4: a deprecated address is not for new communications if there is another.
        let preferred = move |l: &Local| of(l) && l.state == AddressState::Preferred;
        let only_deprecated = !self.entries.iter().any(preferred);
        self.usable().filter(move |l| if only_deprecated { of(l) } else { preferred(l) })
    }

    /// Whether `group` is the solicited-node group of one of ours (RFC 4291 §2.7.1), or all nodes.
    pub(in crate::shard) fn is_local_group(&self, group: Ipv6Addr) -> bool {
        group == ndp::ALL_NODES
            || self.entries.iter().any(|l| match l.address {
                IpAddr::V6(address) => ndp::solicited_node(address) == group,
                IpAddr::V4(_) => false,
            })
    }

    /// Where the address is, or the empty place where it would be.
    #[inline]
    fn place(&self, address: IpAddr) -> usize {
        let folded = match address {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                (bits as u64) ^ ((bits >> 64) as u64).rotate_left(32)
            }
        };
        let mut at = start(folded);
        loop {
            let number = self.places[at];
            if number == EMPTY || self.entries[usize::from(number)].address == address {
                return at;
            }
            at = (at + 1) % PLACES;
        }
    }
}

/// The place where the search for an address begins.
#[inline]
const fn start(folded: u64) -> usize {
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES.trailing_zeros())) as usize
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
    fn only_what_is_ours_to_use_is_found() {
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
    fn a_deprecated_address_opens_nothing_while_there_is_another() {
        // RFC 4862 §5.5.4
        let mut locals = settled(&many(2));
        locals.set_state(0, AddressState::Deprecated);
        assert_eq!((locals.rotate(false, 0), locals.rotate(false, 1)), (Some(1), Some(1)));
        assert!(locals.find(many(1)[0].0).is_some(), "what comes in is taken");
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
    fn what_is_ours_and_what_is_a_broadcast_is_told_by_tails_that_never_deny_it() {
        let mut locals = settled(&many(100));
        let ours: Vec<_> = locals.all().map(|local| (local.address, local.prefix)).collect();
        for (address, prefix) in ours {
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
    fn the_groups_of_our_addresses_are_ours() {
        let ours: Ipv6Addr = "2001:db8::12:3456".parse().expect("an address");
        let locals = Locals::new(&[(IpAddr::V6(ours), 64)]);
        assert_eq!(ndp::solicited_node(ours).to_string(), "ff02::1:ff12:3456");
        assert!(locals.is_local_group(ndp::solicited_node(ours)));
        assert!(locals.is_local_group("ff02::1".parse().expect("a group")));
        assert!(!locals.is_local_group("ff02::1:ff12:3457".parse().expect("a group")));
    }
}
