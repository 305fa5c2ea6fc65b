//! What rtnetlink knows of an interface: its other end, and the XDP program it has.
//!
//! Owns the one message that asks. Unlike sysfs it always answers for the calling thread's network
//! namespace, and tells whether the other end is in it.

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

/// An interface, as rtnetlink describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    /// Index of the other end of a veth pair.
    pub(super) peer: Option<u32>,
    /// Whether that index counts in another network namespace.
    pub(super) peer_is_elsewhere: bool,
    /// The kernel's id of the XDP program attached.
    pub(super) program: Option<u32>,
    /// Whether the kernel has a carrier on it. Drivers' own answers run ahead of this: igb tells the cable's
    /// state while the kernel still takes no frame for it.
    pub(super) carrier: Option<bool>,
}

pub(super) fn of(index: u32) -> io::Result<Link> {
    // `struct ifinfomsg`: family, padding, type, index, flags, change mask.
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    let answer = Netlink::open(NETLINK_ROUTE)?.ask(GET_LINK, &fixed, &[])?;
    Ok(Link {
        peer: find_u32(&answer, LINK),
        peer_is_elsewhere: find(&answer, LINK_NAMESPACE).is_some(),
        program: find(&answer, XDP).and_then(|nested| find_u32(nested, XDP_PROGRAM)),
        carrier: find(&answer, CARRIER).and_then(<[u8]>::first).map(|carrier| *carrier != 0),
    })
}
