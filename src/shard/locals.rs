//! The shard's own addresses, by number: the flow table keeps 8 bits of an address, not 16 bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::limits::LOCAL_ADDRESSES_MAX;
use crate::wire::ndp;

/// One of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) address: IpAddr,
    /// Bits of its network.
    pub(super) prefix: u8,
}

/// All of them, found by address or number.
#[derive(Debug)]
pub(super) struct Locals {
    entries: Vec<Local>,
    /// Open addressing over twice the largest number of addresses, so that a search always ends at an
    /// empty place. The addresses are ours, so nobody can pick them to collide.
    places: Box<[u16; PLACES]>,
    /// The IPv4 addresses again, each beside its number: every packet asks for two.
    places_v4: Box<[(u32, u16); PLACES]>,
}

const PLACES: usize = 1024;
const EMPTY: u16 = u16::MAX;
const _: () = assert!(PLACES > LOCAL_ADDRESSES_MAX);

impl Locals {
    /// The addresses of a configuration; a second mention and what is past the limit is left out.
    pub(super) fn new(addresses: &[(IpAddr, u8)]) -> Self {
        let mut locals = Self {
            entries: Vec::new(),
            places: Box::new([EMPTY; PLACES]),
            places_v4: Box::new([(0, EMPTY); PLACES]),
        };
        for (address, prefix) in addresses {
            if locals.find(*address).is_none() && locals.entries.len() < LOCAL_ADDRESSES_MAX {
                let place = locals.place(*address);
                locals.places[place] = locals.entries.len() as u16;
                locals.enter_v4(*address);
                locals.entries.push(Local { address: *address, prefix: *prefix });
            }
        }
        locals
    }

    /// The number of an address, if it is ours.
    #[inline]
    pub(super) fn find(&self, address: IpAddr) -> Option<u8> {
        let at = self.places[self.place(address)];
        (at != EMPTY).then_some(at as u8)
    }

    /// The number of an IPv4 address, if it is ours.
    #[inline]
    pub(super) fn find_v4(&self, address: Ipv4Addr) -> Option<u8> {
        let (_, number) = self.places_v4[self.place_v4(address.to_bits())];
        (number != EMPTY).then_some(number as u8)
    }

    fn enter_v4(&mut self, address: IpAddr) {
        if let IpAddr::V4(v4) = address {
            let place = self.place_v4(v4.to_bits());
            self.places_v4[place] = (v4.to_bits(), self.entries.len() as u16);
        }
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
    pub(super) fn address(&self, number: u8) -> IpAddr {
        self.entries[usize::from(number)].address
    }

    /// All, in order of their numbers.
    pub(super) fn all(&self) -> &[Local] {
        &self.entries
    }

    /// Addresses of a family that active opens may use.
    pub(super) fn count(&self, ipv6: bool) -> usize {
        self.of_family(ipv6).count()
    }

    /// The number of the `n`-th of them, counted round and round.
    pub(super) fn rotate(&self, ipv6: bool, n: usize) -> Option<u8> {
        let chosen = self.of_family(ipv6).nth(n.checked_rem(self.count(ipv6))?)?;
        self.find(chosen.address)
    }

    fn of_family(&self, ipv6: bool) -> impl Iterator<Item = &Local> {
        let fits = move |l: &&Local| l.address.is_ipv6() == ipv6 && !is_link_local(l.address);
        self.entries.iter().filter(fits)
    }

    /// Whether `group` is the solicited-node group of one of ours (RFC 4291 §2.7.1), or all nodes.
    pub(super) fn is_group_of_ours(&self, group: Ipv6Addr) -> bool {
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

    #[test]
    fn every_address_is_found_by_its_number_and_back() {
        let locals = Locals::new(&many(256));
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
    fn source_addresses_are_used_in_turn_by_family() {
        let mut addresses = many(2);
        addresses.push(("2001:db8::1".parse().expect("an address"), 64));
        addresses.push(("fe80::1".parse().expect("an address"), 64));
        let locals = Locals::new(&addresses);
        let v4: Vec<_> = (0..3).map(|n| locals.rotate(false, n)).collect();
        assert_eq!(v4, [Some(0), Some(1), Some(0)]);
        assert_eq!(locals.rotate(true, 7), Some(2));
        assert_eq!(Locals::new(&many(1)).rotate(true, 0), None);
    }

    #[test]
    fn the_groups_of_our_addresses_are_ours() {
        let ours: Ipv6Addr = "2001:db8::12:3456".parse().expect("an address");
        let locals = Locals::new(&[(IpAddr::V6(ours), 64)]);
        assert_eq!(ndp::solicited_node(ours).to_string(), "ff02::1:ff12:3456");
        assert!(locals.is_group_of_ours(ndp::solicited_node(ours)));
        assert!(locals.is_group_of_ours("ff02::1".parse().expect("a group")));
        assert!(!locals.is_group_of_ours("ff02::1:ff12:3457".parse().expect("a group")));
    }
}
