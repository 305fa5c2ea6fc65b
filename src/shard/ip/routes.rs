//! Which way a packet goes: the longest prefix that holds its destination, and the address of ours
//! it goes out with.
//!
//! Owns the routes, which the runtime mirrors from the kernel or the operator gives. Refuses to
//! know link-layer addresses. It is asked once a connection, not once a packet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: an address and how many of its bits count. The others are zero.
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
    /// What every IPv6 interface is on (RFC 4291 §2.5.6).
    pub const LINK_LOCAL: Self =
        Self { address: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), length: 64 };

    /// The network of `length` bits that `address` is in. A length past the address's is all of it.
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

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let common = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(v4)) => (ours.to_bits() ^ v4.to_bits()).leading_zeros(),
            (IpAddr::V6(ours), IpAddr::V6(v6)) => (ours.to_bits() ^ v6.to_bits()).leading_zeros(),
            _ => return false,
        };
        common >= u32::from(self.length)
    }

    /// The broadcast address of an IPv4 network, where it has one (RFC 919; RFC 3021 for /31).
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(v4) if self.length <= 30 => {
                Some(Ipv4Addr::from_bits(v4.to_bits() | u32::MAX >> self.length))
            }
            _ => None,
        }
    }
}

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// To where.
    pub prefix: Prefix,
    /// Through whom; `None` is on the link itself.
    pub gateway: Option<IpAddr>,
    /// With which of our addresses, if the route says.
    pub source: Option<IpAddr>,
    /// Among equal prefixes the lowest wins.
    pub metric: u32,
    /// The largest packet, bytes, where the route says.
    pub mtu: Option<u32>,
}

impl Route {
    /// A network on the link.
    pub const fn on_link(prefix: Prefix) -> Self {
        Self { prefix, gateway: None, source: None, metric: 0, mtu: None }
    }

    /// A network behind a gateway.
    pub const fn through(prefix: Prefix, gateway: IpAddr) -> Self {
        Self { prefix, gateway: Some(gateway), source: None, metric: 0, mtu: None }
    }
}

/// Where to send, and as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The neighbour: the destination itself, or a gateway.
    pub via: IpAddr,
    /// Our address.
    pub source: IpAddr,
    /// The route's largest packet, bytes, if it says.
    pub mtu: Option<u32>,
}

/// Why there is no way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoRoute {
    /// No route holds the destination.
    NoRoute,
    /// No address of ours fits it.
    NoSource,
}

/// The routes of a shard.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Longest prefix first, then lowest metric.
    routes: Vec<Route>,
}

impl Routes {
    /// The networks of our own addresses on the link, and a default route for each gateway.
    pub fn of_addresses(addresses: &[(IpAddr, u8)], gateways: &[IpAddr]) -> Self {
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

    /// Adds a route, in place of one that differs only in source or MTU.
    pub fn add(&mut self, route: Route) {
        self.remove(route.prefix, route.gateway, route.metric);
        let order = |r: &Route| (core::cmp::Reverse(r.prefix.length), r.metric);
        let at = self.routes.partition_point(|r| order(r) <= order(&route));
        self.routes.insert(at, route);
    }

    /// Takes a route out, if it is there.
    pub fn remove(&mut self, prefix: Prefix, gateway: Option<IpAddr>, metric: u32) {
        self.routes.retain(|r| (r.prefix, r.gateway, r.metric) != (prefix, gateway, metric));
    }

    /// The route to a destination.
    pub fn route(&self, destination: IpAddr) -> Option<&Route> {
        self.routes.iter().find(|route| route.prefix.contains(destination))
    }

    /// The neighbour to send to for a destination.
    pub fn via(&self, destination: IpAddr) -> Option<IpAddr> {
        self.route(destination).map(|route| route.gateway.unwrap_or(destination))
    }

    /// The way to a destination, with the best of our `addresses`, or with `wanted` if it is among
    /// them.
    ///
    /// # Errors
    /// When no route leads there, or no address fits.
    pub fn next_hop(
        &self,
        destination: IpAddr,
        unresolved: Option<IpAddr>,
        addresses: impl IntoIterator<Item = (IpAddr, u8)>,
    ) -> Result<NextHop, NoRoute> {
        let route = self.route(destination).ok_or(NoRoute::NoRoute)?;
        let via = route.gateway.unwrap_or(destination);
        let unresolved = unresolved.or(route.source);
        let fits = |(address, _): &(IpAddr, u8)| {
            address.is_ipv4() == destination.is_ipv4() && unresolved.is_none_or(|w| w == *address)
        };
        let mut best: Option<(Merit, IpAddr)> = None;
        for (address, length) in addresses.into_iter().filter(fits) {
            let merit = Merit::of(address, length, destination, via);
            if best.is_none_or(|(most, _)| merit > most) {
                best = Some((merit, address));
            }
        }
        let (_, source) = best.ok_or(NoRoute::NoSource)?;
        Ok(NextHop { via, source, mtu: route.mtu })
    }
}

/// How well a source address fits, the most important first: the rules of RFC 6724 §5 that mean
/// something with one interface and no temporary addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Merit {
    /// Rule 1: the destination itself.
    same: bool,
    /// Rule 2: its scope reaches the destination, and no further than needed.
    reaches: bool,
    close_scope: core::cmp::Reverse<u8>,
    /// Rule 5.5: on one network with the next hop.
    with_next_hop: bool,
    /// Rule 8: the bits it has in common with the destination.
    common: u32,
}

impl Merit {
    fn of(address: IpAddr, length: u8, destination: IpAddr, via: IpAddr) -> Self {
        let (ours, theirs) = (scope(address), scope(destination));
        Self {
            same: address == destination,
            reaches: ours >= theirs,
            close_scope: core::cmp::Reverse(ours.abs_diff(theirs)),
            with_next_hop: Prefix::new(address, length).contains(via),
            common: common_bits(address, destination).min(u32::from(length)),
        }
    }
}

/// The scope of a unicast address (RFC 6724 §3.1, §3.2).
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

/// Whom an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cast {
    /// One host.
    Unicast,
    /// A group.
    Multicast,
    /// Everyone on a network.
    Broadcast,
    /// Nobody, or only the host itself: never on a link.
    Invalid,
}

impl Cast {
    /// Whom `address` means to a host with these `addresses`. TCP only ever speaks to unicast
    /// (RFC 9293 §3.9.2.3, MUST-57), and only a unicast address is a source.
    pub fn of(address: IpAddr, addresses: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        match address {
            _ if address.is_multicast() => Self::Multicast,
            _ if address.is_unspecified() || address.is_loopback() => Self::Invalid,
            IpAddr::V4(v4) => {
                let networks = addresses.into_iter();
                let directed = |(ours, length)| Prefix::new(ours, length).broadcast() == Some(v4);
                let broadcast = v4.is_broadcast() || networks.into_iter().any(directed);
                if broadcast { Self::Broadcast } else { Self::Unicast }
            }
            IpAddr::V6(_) => Self::Unicast,
        }
    }
}
