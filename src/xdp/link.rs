//! Interface attributes from rtnetlink: the peer of a veth and the attached XDP program.
//!
//! Owns the one message that queries them. Unlike sysfs, rtnetlink always answers for the network
//! namespace of the calling thread, and reports whether the peer is in it.

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink::{Netlink, find, find_u32};

/// linux/rtnetlink.h and linux/if_link.h.
const GET_LINK: u16 = 18;
const LINK: u16 = 5;
const CARRIER: u16 = 33;
const LINK_NAMESPACE: u16 = 37;
const XDP: u16 = 43;
const XDP_PROGRAM: u16 = 4;

/// Attributes of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// Index of the peer of a veth.
    pub(super) peer: Option<u32>,
    /// The index refers to another network namespace.
    pub(super) peer_is_elsewhere: bool,
    /// The kernel's id of the attached XDP program.
    pub(super) program: Option<u32>,
    /// The kernel's carrier state. A driver may report the carrier early: igb reports the state of
    /// the cable while the kernel still drops outgoing frames.
    pub(super) carrier: Option<bool>,
}

pub(super) fn of(index: u32) -> io::Result<Link> {
    // `struct ifinfomsg`: family, padding, type, index, flags, change mask.
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    let answer = Netlink::open(NETLINK_ROUTE)?.query(GET_LINK, &fixed, &[])?;
    Ok(Link {
        peer: find_u32(&answer, LINK),
        peer_is_elsewhere: find(&answer, LINK_NAMESPACE).is_some(),
        program: find(&answer, XDP).and_then(|nested| find_u32(nested, XDP_PROGRAM)),
        carrier: find(&answer, CARRIER).and_then(<[u8]>::first).map(|carrier| *carrier != 0),
    })
}
