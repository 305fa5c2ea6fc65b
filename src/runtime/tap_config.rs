//! The kernel's side of a TAP device, as configured.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kernel's side of a stack's TAP device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TapConfig {
    /// The kernel's addresses on the device, with their prefix lengths. Without any the kernel does
    /// not reach the stack.
    pub kernel_addresses: Vec<(IpAddr, u8)>,
}

impl TapConfig {
    /// Chooses an address of the kernel in each network of the stack's `addresses`: the first one
    /// that the stack does not have. A network with no second address has none.
    #[must_use]
    pub fn opposite(addresses: &[(IpAddr, u8)]) -> Self {
        let mut chosen: Vec<(IpAddr, u8)> = Vec::new();
        for &(address, prefix) in addresses {
            let is_here = |(other, length): &(IpAddr, u8)| {
                *length == prefix && network(*other, prefix) == network(address, prefix)
            };
            if chosen.iter().any(is_here) {
                continue;
            }
            let is_free = |candidate: &IpAddr| addresses.iter().all(|(own, _)| own != candidate);
            let free = hosts(address, prefix, addresses.len()).into_iter().find(is_free);
            chosen.extend(free.map(|free| (free, prefix)));
        }
        Self { kernel_addresses: chosen }
    }
}

/// Returns the bits of an address and their number.
const fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (v4.to_bits() as u128, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// Returns the family and the number of a network.
fn network(address: IpAddr, prefix: u8) -> (u32, u128) {
    let (number, width) = bits(address);
    let host_bits = width.saturating_sub(u32::from(prefix));
    (width, number.checked_shr(host_bits).unwrap_or(0))
}

/// Returns the first addresses of hosts in the network of `address`, one more than `taken`, as far
/// as there are any.
///
/// The first address of a network is not a host's (IPv4: the network itself; IPv6: RFC 4291
/// §2.6.1), nor is the last one of an IPv4 network (broadcast), except where the network has only
/// two.
fn hosts(address: IpAddr, prefix: u8, taken: usize) -> Vec<IpAddr> {
    let (number, width) = bits(address);
    let host_bits = width.saturating_sub(u32::from(prefix));
    let last = u128::MAX.checked_shr(u128::BITS - host_bits).unwrap_or(0);
    let first_of_network = number & !last;
    let (from, to) = match address {
        _ if last <= 1 => (0, last),
        IpAddr::V4(_) => (1, last - 1),
        IpAddr::V6(_) => (1, last),
    };
    let host = |offset| match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits((first_of_network + offset) as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(first_of_network + offset)),
    };
    (from..=to).take(taken + 1).map(host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(addresses: &[&str]) -> Vec<String> {
        let parse = |text: &&str| {
            let (address, prefix) = text.split_once('/').expect("a prefix length");
            (address.parse().expect("an address"), prefix.parse().expect("a length"))
        };
        let addresses: Vec<(IpAddr, u8)> = addresses.iter().map(parse).collect();
        let kernel = TapConfig::opposite(&addresses).kernel_addresses;
        kernel.iter().map(|(address, prefix)| format!("{address}/{prefix}")).collect()
    }

    #[test]
    fn the_kernel_gets_the_first_address_that_the_stack_does_not_have() {
        for (own, kernel) in [
            ("10.0.0.2/24", "10.0.0.1/24"),
            ("10.0.0.1/24", "10.0.0.2/24"),
            ("10.1.2.3/8", "10.0.0.1/8"),
            ("192.0.2.6/30", "192.0.2.5/30"),
            ("192.0.2.7/31", "192.0.2.6/31"),
            ("fd00::2/64", "fd00::1/64"),
            ("fd00::1/64", "fd00::2/64"),
            ("fd00::/127", "fd00::1/127"),
            ("10.0.0.1/0", "0.0.0.1/0"),
            ("fd00::1/0", "::1/0"),
        ] {
            assert_eq!(chosen(&[own]), [kernel], "{own}");
        }
    }

    #[test]
    fn networks_get_one_address_each_and_a_network_of_one_gets_none() {
        assert_eq!(chosen(&["10.0.0.2/24", "10.0.0.1/24"]), ["10.0.0.3/24"]);
        assert_eq!(chosen(&["10.0.0.2/24", "fd00::1/64"]), ["10.0.0.1/24", "fd00::2/64"]);
        assert!(chosen(&["10.0.0.2/32", "fd00::1/128"]).is_empty());
        // Both hosts of the network are the stack's.
        assert!(chosen(&["192.0.2.1/30", "192.0.2.2/30"]).is_empty());
    }
}
