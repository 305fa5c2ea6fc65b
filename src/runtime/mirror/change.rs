//! Changes of the kernel's tables for one interface.

use std::net::IpAddr;

/// One entry of the kernel's tables as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum Change {
    /// A neighbour's link-layer address, or that it has none any more.
    Neighbour {
        /// The neighbour.
        address: IpAddr,
        /// Its Ethernet address.
        mac: Option<[u8; 6]>,
    },
    /// A route through the interface was added or removed.
    Route {
        /// The network.
        destination: IpAddr,
        /// Prefix length of the network, bits.
        prefix: u8,
        /// The next hop; `None` for an on-link network.
        gateway: Option<IpAddr>,
        /// The preferred source address, where the route names one.
        source: Option<IpAddr>,
        /// Its metric: the smallest wins.
        metric: u32,
        /// False when the route was removed.
        exists: bool,
    },
    /// The interface went up or down, administratively or by its carrier.
    Carrier(bool),
    /// The interface was removed.
    Removed,
}
