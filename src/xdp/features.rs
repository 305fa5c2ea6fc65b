//! What a driver says of its own XDP support, through the generic netlink family `netdev` (Linux 6.3).
//!
//! Owns the two messages that takes. Older kernels have no such family, which is no error of ours.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;

use super::netlink::{Netlink, attribute, find, find_u32};

/// linux/genetlink.h.
const CONTROL_FAMILY: u16 = 0x10;
const CONTROL_GET_FAMILY: u8 = 3;
const CONTROL_FAMILY_ID: u16 = 1;
const CONTROL_FAMILY_NAME: u16 = 2;

/// linux/netdev.h.
const DEVICE_GET: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_XDP_FEATURES: u16 = 3;
const DEVICE_ZERO_COPY_SEGMENTS: u16 = 4;

/// The `NETDEV_XDP_ACT_*` bits of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    bits: u64,
    /// Descriptors that one packet may take in zero-copy mode; 0 where there is none.
    pub zero_copy_segments_max: u32,
}

impl XdpFeatures {
    /// Programs run in the driver.
    pub const fn native(self) -> bool {
        self.bits & 1 != 0
    }

    /// A program in the driver may redirect, which AF_XDP needs.
    pub const fn redirect(self) -> bool {
        self.bits & 1 << 1 != 0
    }

    /// AF_XDP sockets may share the driver's buffers.
    pub const fn zero_copy(self) -> bool {
        self.bits & 1 << 3 != 0
    }

    /// Frames of several buffers are received by frags-aware programs.
    pub const fn multi_buffer(self) -> bool {
        self.bits & 1 << 5 != 0
    }
}

/// Asks for the features of the interface with this index.
pub(super) fn of(index: u32) -> io::Result<XdpFeatures> {
    let netlink = Netlink::open(NETLINK_GENERIC)?;
    let name = attribute(CONTROL_FAMILY_NAME, b"netdev\0");
    let answer = netlink.ask(CONTROL_FAMILY, &header(CONTROL_GET_FAMILY), &name)?;
    let family = find(&answer, CONTROL_FAMILY_ID)
        .and_then(<[u8]>::first_chunk)
        .map(|bytes| u16::from_ne_bytes(*bytes))
        .ok_or(io::ErrorKind::Unsupported)?;
    let wanted = attribute(DEVICE_INDEX, &index.to_ne_bytes());
    let answer = netlink.ask(family, &header(DEVICE_GET), &wanted)?;
    let bits = find(&answer, DEVICE_XDP_FEATURES)
        .and_then(<[u8]>::first_chunk)
        .map(|bytes| u64::from_ne_bytes(*bytes))
        .ok_or(io::ErrorKind::Unsupported)?;
    let zero_copy_segments_max = find_u32(&answer, DEVICE_ZERO_COPY_SEGMENTS).unwrap_or_default();
    Ok(XdpFeatures { bits, zero_copy_segments_max })
}

/// `struct genlmsghdr`: command, version, and two bytes unused.
const fn header(command: u8) -> [u8; 4] {
    [command, 1, 0, 0]
}
