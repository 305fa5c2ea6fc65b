//! Routing table: the longest matching prefix of a destination, and the source address to send
//! from.
//!
//! Owns the routes, which the operator configures or the runtime mirrors from the kernel. Refuses
//! to know link-layer addresses. Consulted once per connection, not once per packet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network prefix. The address bits beyond its length are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// All of IPv4.
    pub const ALL_IPV4: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };
    /// All of IPv6.
    pub const ALL_IPV6: Self = Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0 };
    /// The link-local network, to which every IPv6 interface belongs (RFC 4291 §2.5.6).
    pub const LINK_LOCAL: Self =
        Self { address: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), length: 64 };

    /// Returns the network of `length` bits that contains `address`. A longer length than the
    /// address has is reduced to that.
    pub fn new(address: IpAddr, length: u8) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                let bits = v4.to_bits() & mask;
                Self { address: IpAddr::V4(Ipv4Addr::from_bits(bits)), length }
            }
            IpAddr::V6(v6) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                let bits = v6.to_bits() & mask;
                Self { address: IpAddr::V6(Ipv6Addr::from_bits(bits)), length }
            }
        }
    }

    /// Returns the first address of the network.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns the prefix length, bits.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Returns true if the network contains `address`.
    pub fn contains(&self, address: IpAddr) -> bool {
        let common = match (self.address, address) {
            (IpAddr::V4(local), IpAddr::V4(v4)) => (local.to_bits() ^ v4.to_bits()).leading_zeros(),
            (IpAddr::V6(local), IpAddr::V6(v6)) => (local.to_bits() ^ v6.to_bits()).leading_zeros(),
            _ => return false,
        };
        common >= u32::from(self.length)
    }

    /// Returns the broadcast address of an IPv4 network, if it has one (RFC 919; RFC 3021 for /31).
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(v4) if self.length <= 30 => {
                Some(Ipv4Addr::from_bits(v4.to_bits() | u32::MAX >> self.length))
            }
            _ => None,
        }
    }
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination network.
    pub prefix: Prefix,
    /// Gateway; `None` for a network on the link.
    pub gateway: Option<IpAddr>,
    /// Preferred source address, if the route has one.
    pub source: Option<IpAddr>,
    /// Metric: among routes with the same prefix, the lowest wins.
    pub metric: u32,
    /// MTU, bytes, if the route has one.
    pub mtu: Option<u32>,
}

impl Route {
    /// Returns a route to a network on the link.
    pub const fn on_link(prefix: Prefix) -> Self {
        Self { prefix, gateway: None, source: None, metric: 0, mtu: None }
    }

    /// Returns a route through a gateway.
    pub const fn through(prefix: Prefix, gateway: IpAddr) -> Self {
        Self { prefix, gateway: Some(gateway), source: None, metric: 0, mtu: None }
    }
}

/// The next hop of a destination, and the source address to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextHop {
    /// Neighbour to send to: the destination itself, or a gateway.
    pub via: IpAddr,
    /// Local address to send from.
    pub source: IpAddr,
    /// MTU of the route, bytes, if it has one.
    pub mtu: Option<u32>,
}

/// The reason why a destination has no next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NoRoute {
    /// No route contains the destination.
    NoRoute,
    /// No local address is a suitable source.
    NoSource,
}

/// The routing table of a shard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    /// Longest prefix first, then lowest metric.
    routes: Vec<Route>,
}

impl Routes {
    /// Creates a table with the networks of the local addresses on the link, and a default route
    /// for each gateway.
    pub(crate) fn of_addresses(addresses: &[(IpAddr, u8)], gateways: &[IpAddr]) -> Self {
        let mut routes = Self::default();
        for (address, length) in addresses {
            routes.add(Route::on_link(Prefix::new(*address, *length)));
            if address.is_ipv6() {
                routes.add(Route::on_link(Prefix::LINK_LOCAL));
            }
        }
        for gateway in gateways {
            let all = if gateway.is_ipv4() { Prefix::ALL_IPV4 } else { Prefix::ALL_IPV6 };
            routes.add(Route::through(all, *gateway));
        }
        routes
    }

    /// Adds a route. Replaces one that differs only in source or MTU.
    pub(crate) fn add(&mut self, route: Route) {
        self.remove(route.prefix, route.gateway, route.metric);
        let order = |r: &Route| (core::cmp::Reverse(r.prefix.length), r.metric);
        let at = self.routes.partition_point(|r| order(r) <= order(&route));
        self.routes.insert(at, route);
    }

    /// Removes a route, if it exists.
    pub(crate) fn remove(&mut self, prefix: Prefix, gateway: Option<IpAddr>, metric: u32) {
        self.routes.retain(|r| (r.prefix, r.gateway, r.metric) != (prefix, gateway, metric));
    }

    /// Returns the route to a destination.
    pub(crate) fn route(&self, destination: IpAddr) -> Option<&Route> {
        self.routes.iter().find(|route| route.prefix.contains(destination))
    }

    /// Returns the neighbour to send to for a destination.
    pub(crate) fn via(&self, destination: IpAddr) -> Option<IpAddr> {
        self.route(destination).map(|route| route.gateway.unwrap_or(destination))
    }

    /// Returns the next hop of a destination. Selects the best source of the local `addresses`, or
    /// `required` if it is one of them.
    ///
    /// # Errors
    /// If there is no route to the destination, or no suitable source address.
    pub(crate) fn next_hop(
        &self,
        destination: IpAddr,
        required: Option<IpAddr>,
        addresses: impl IntoIterator<Item = (IpAddr, u8)>,
    ) -> Result<NextHop, NoRoute> {
        let route = self.route(destination).ok_or(NoRoute::NoRoute)?;
        let via = route.gateway.unwrap_or(destination);
        let required = required.or(route.source);
        let fits = |(address, _): &(IpAddr, u8)| {
            address.is_ipv4() == destination.is_ipv4() && required.is_none_or(|w| w == *address)
        };
        let mut best: Option<(SourceRank, IpAddr)> = None;
        for (address, length) in addresses.into_iter().filter(fits) {
            let rank = SourceRank::of(address, length, destination, via);
            if best.is_none_or(|(highest, _)| rank > highest) {
                best = Some((rank, address));
            }
        }
        let (_, source) = best.ok_or(NoRoute::NoSource)?;
        Ok(NextHop { via, source, mtu: route.mtu })
    }
}

/// The rank of a source address, the most important criterion first: the rules of RFC 6724 §5 that
/// matter with one interface and no temporary addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SourceRank {
    /// Rule 1: it is the destination itself.
    same: bool,
    /// Rule 2: its scope reaches the destination, and is the closest that does.
    reaches: bool,
    close_scope: core::cmp::Reverse<u8>,
    /// Rule 5.5: it is on the same network as the next hop.
    with_next_hop: bool,
    /// Rule 8: length of the common prefix with the destination.
    common: u32,
}

impl SourceRank {
    fn of(address: IpAddr, length: u8, destination: IpAddr, via: IpAddr) -> Self {
        let (local, remote) = (scope(address), scope(destination));
        Self {
            same: address == destination,
            reaches: local >= remote,
            close_scope: core::cmp::Reverse(local.abs_diff(remote)),
            with_next_hop: Prefix::new(address, length).contains(via),
            common: common_bits(address, destination).min(u32::from(length)),
        }
    }
}

/// Returns the scope of a unicast address (RFC 6724 §3.1, §3.2).
fn scope(address: IpAddr) -> u8 {
    const LINK: u8 = 2;
    const GLOBAL: u8 = 14;
    let link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_loopback(),
    };
    if link { LINK } else { GLOBAL }
}

fn common_bits(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

/// The kind of a destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cast {
    /// One host.
    Unicast,
    /// A group.
    Multicast,
    /// All hosts of a network.
    Broadcast,
    /// Unspecified or loopback: never valid on a link.
    Invalid,
}

impl Cast {
    /// Returns the kind of `address` for a host with the given `addresses`. TCP accepts only
    /// unicast addresses, as source and as destination (RFC 9293 §3.9.2.3, MUST-57).
    pub(crate) fn of(address: IpAddr, addresses: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        match address {
            _ if address.is_multicast() => Self::Multicast,
            _ if address.is_unspecified() || address.is_loopback() => Self::Invalid,
            IpAddr::V4(v4) => {
                let networks = addresses.into_iter();
                let directed = |(local, length)| Prefix::new(local, length).broadcast() == Some(v4);
                let broadcast = v4.is_broadcast() || networks.into_iter().any(directed);
                if broadcast { Self::Broadcast } else { Self::Unicast }
            }
            IpAddr::V6(_) => Self::Unicast,
        }
    }
}
