//! The rtnetlink(7) socket: subscribes, dumps, asks the kernel to resolve neighbours. Turns
//! messages into changes and ignores other interfaces.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_packet_core::{
    NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::change::Change;

/// Multicast groups of rtnetlink (linux/rtnetlink.h): LINK, NEIGH, IPV4_ROUTE, IPV6_ROUTE.
const GROUPS: [u32; 4] = [1, 3, 7, 11];

/// Receive buffer of the socket, bytes: a dump of some thousand neighbours arrives at once.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The dumps requested at the start and after an overrun, one at a time: a socket serves one dump
/// at once.
const DUMPS: [Dump; 3] = [Dump::Links, Dump::Routes, Dump::Neighbours];

#[derive(Clone, Copy, Debug)]
enum Dump {
    Links,
    Routes,
    Neighbours,
}

/// The socket and the progress of its dumps.
pub(super) struct Netlink {
    socket: Socket,
    interface: u32,
    sequence: u32,
    next_dump: usize,
    dumping: bool,
}

impl AsRawFd for Netlink {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Netlink {
    pub(super) fn open(interface: u32) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.set_rx_buf_sz(RECEIVE_BUFFER as u32)?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket, interface, sequence: 0, next_dump: 0, dumping: false })
    }

    /// Reads all that has arrived, without blocking.
    pub(super) fn poll(&mut self, on_change: &impl Fn(Change)) {
        loop {
            self.continue_dump();
            match self.socket.recv_from_full() {
                Ok((datagram, _)) => self.on_datagram(&datagram, on_change),
                // The kernel dropped changes: dump the tables again.
                Err(e) if e.raw_os_error() == Some(nix::libc::ENOBUFS) => self.next_dump = 0,
                Err(_) => return,
            }
        }
    }

    /// Asks the kernel to resolve `address`, as if it had a packet for it (NTF_USE).
    pub(super) fn resolve(&mut self, address: IpAddr) {
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = self.interface;
        message.header.state = NeighbourState::None;
        message.header.flags = NeighbourFlags::Use;
        let destination = match address {
            IpAddr::V4(v4) => NeighbourAddress::Inet(v4),
            IpAddr::V6(v6) => NeighbourAddress::Inet6(v6),
        };
        message.attributes = vec![NeighbourAttribute::Destination(destination)];
        self.send(RouteNetlinkMessage::NewNeighbour(message), NLM_F_REQUEST | NLM_F_CREATE);
    }

    fn continue_dump(&mut self) {
        if self.dumping {
            return;
        }
        let Some(dump) = DUMPS.get(self.next_dump) else { return };
        let message = match dump {
            Dump::Links => RouteNetlinkMessage::GetLink(LinkMessage::default()),
            Dump::Routes => RouteNetlinkMessage::GetRoute(RouteMessage::default()),
            Dump::Neighbours => RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()),
        };
        self.next_dump += 1;
        self.dumping = self.send(message, NLM_F_REQUEST | NLM_F_DUMP);
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> bool {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).is_ok()
    }

    fn on_datagram(&mut self, mut bytes: &[u8], on_change: &impl Fn(Change)) {
        while bytes.len() >= 16 {
            let len = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            if !(16..=bytes.len()).contains(&len) {
                return;
            }
            // The crate reads every kind of message that we subscribe to.
            if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes[..len]) {
                match message.payload {
                    NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => self.dumping = false,
                    NetlinkPayload::InnerMessage(inner) => {
                        changes(&inner, self.interface).into_iter().for_each(on_change);
                    }
                    _ => {}
                }
            }
            // Messages are aligned to 4 bytes (NLMSG_ALIGNTO).
            bytes = &bytes[len.next_multiple_of(4).min(bytes.len())..];
        }
    }
}

const fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

impl std::fmt::Debug for Netlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Netlink").field("fd", &self.as_raw_fd()).finish()
    }
}

/// Returns the change that a message reports about `interface`.
fn changes(message: &RouteNetlinkMessage, interface: u32) -> Option<Change> {
    match message {
        RouteNetlinkMessage::NewNeighbour(m) => neighbour(m, interface, true),
        RouteNetlinkMessage::DelNeighbour(m) => neighbour(m, interface, false),
        RouteNetlinkMessage::NewRoute(m) => route(m, interface, true),
        RouteNetlinkMessage::DelRoute(m) => route(m, interface, false),
        RouteNetlinkMessage::NewLink(m) if m.header.index == interface => {
            Some(Change::Carrier(m.header.flags.contains(LinkFlags::LowerUp)))
        }
        RouteNetlinkMessage::DelLink(m) if m.header.index == interface => Some(Change::Removed),
        _ => None,
    }
}

fn neighbour(message: &NeighbourMessage, interface: u32, exists: bool) -> Option<Change> {
    if message.header.ifindex != interface {
        return None;
    }
    let address = message.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })?;
    let usable = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
    );
    let mac = message.attributes.iter().find_map(|a| match a {
        NeighbourAttribute::LinkLayerAddress(bytes) => <[u8; 6]>::try_from(&bytes[..]).ok(),
        _ => None,
    });
    // Resolution is under way: nothing has changed yet.
    if exists && message.header.state == NeighbourState::Incomplete {
        return None;
    }
    Some(Change::Neighbour { address, mac: mac.filter(|_| exists && usable) })
}

fn route(message: &RouteMessage, interface: u32, exists: bool) -> Option<Change> {
    let through = |a: &RouteAttribute| matches!(a, RouteAttribute::Oif(i) if *i == interface);
    if message.header.kind != RouteType::Unicast || !message.attributes.iter().any(through) {
        return None;
    }
    let anywhere = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let address = |a: &RouteAddress| match a {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    };
    let find = |pick: fn(&RouteAttribute) -> Option<&RouteAddress>| {
        message.attributes.iter().find_map(pick).and_then(address)
    };
    let destination = find(|a| match a {
        RouteAttribute::Destination(d) => Some(d),
        _ => None,
    });
    let gateway = find(|a| match a {
        RouteAttribute::Gateway(g) => Some(g),
        _ => None,
    });
    let source = find(|a| match a {
        RouteAttribute::PrefSource(s) => Some(s),
        _ => None,
    });
    let metric = message.attributes.iter().find_map(|a| match a {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    Some(Change::Route {
        destination: destination.unwrap_or(anywhere),
        prefix: message.header.destination_prefix_length,
        gateway,
        source,
        metric: metric.unwrap_or(0),
        exists,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn neighbour_message(state: NeighbourState) -> NeighbourMessage {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = 7;
        message.header.state = state;
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet(PEER)),
            NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 9]),
        ];
        message
    }

    fn change(state: NeighbourState) -> Option<Change> {
        changes(&RouteNetlinkMessage::NewNeighbour(neighbour_message(state)), 7)
    }

    #[test]
    fn a_failed_neighbour_has_no_address_and_an_incomplete_one_is_no_change() {
        let mac = Some([2, 0, 0, 0, 0, 9]);
        let address = IpAddr::V4(PEER);
        for usable in [NeighbourState::Reachable, NeighbourState::Stale, NeighbourState::Permanent]
        {
            assert_eq!(change(usable), Some(Change::Neighbour { address, mac }));
        }
        assert_eq!(change(NeighbourState::Failed), Some(Change::Neighbour { address, mac: None }));
        assert_eq!(change(NeighbourState::Incomplete), None);
    }

    #[test]
    fn other_interfaces_are_ignored() {
        let message =
            RouteNetlinkMessage::NewNeighbour(neighbour_message(NeighbourState::Reachable));
        assert_eq!(changes(&message, 8), None);
    }

    #[test]
    fn a_default_route_has_a_prefix_of_no_bits() {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.kind = RouteType::Unicast;
        message.attributes =
            vec![RouteAttribute::Oif(7), RouteAttribute::Gateway(RouteAddress::Inet(PEER))];
        let expected = Change::Route {
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            prefix: 0,
            gateway: Some(IpAddr::V4(PEER)),
            source: None,
            metric: 0,
            exists: true,
        };
        assert_eq!(changes(&RouteNetlinkMessage::NewRoute(message), 7), Some(expected));
    }

    #[test]
    fn the_loopback_interface_is_mirrored_without_privileges() {
        let mut netlink = Netlink::open(1).expect("netlink needs no privilege");
        let seen = std::cell::Cell::new(false);
        for _ in 0..200 {
            netlink.poll(&|change| {
                if matches!(change, Change::Carrier(_)) {
                    seen.set(true);
                }
            });
            if seen.get() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("the dump never reported the link");
    }
}
