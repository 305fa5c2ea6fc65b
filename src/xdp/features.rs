//! XDP features that a driver reports through the generic netlink family `netdev` (Linux 6.3).
//!
//! Owns the two messages that this needs. Older kernels lack the family, which is not an error.

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
const DEVICE_RX_METADATA: u16 = 5;
const DEVICE_TX_METADATA: u16 = 6;

/// The `NETDEV_XDP_ACT_*` bits of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpFeatures {
    bits: u64,
    rx_metadata: u64,
    tx_metadata: u64,
    /// Maximum number of descriptors per packet in zero-copy mode; 0 without zero-copy.
    pub zero_copy_segments_max: u32,
}

impl XdpFeatures {
    /// Returns true if programs run in the driver.
    pub const fn native(self) -> bool {
        self.bits & 1 != 0
    }

    /// Returns true if a program in the driver may redirect, which AF_XDP requires.
    pub const fn redirect(self) -> bool {
        self.bits & 1 << 1 != 0
    }

    /// Returns true if AF_XDP sockets may share the driver's buffers.
    pub const fn zero_copy(self) -> bool {
        self.bits & 1 << 3 != 0
    }

    /// Returns true if frags-aware programs receive frames of several buffers.
    pub const fn multi_buffer(self) -> bool {
        self.bits & 1 << 5 != 0
    }
}

/// Metadata that a driver may provide for a received frame (`NETDEV_XDP_RX_METADATA_*`, Linux 6.3),
/// in bit order.
const RX_METADATA: [&str; 3] = ["timestamp", "hash", "VLAN tag"];
/// Metadata that a driver may process for a frame sent by an AF_XDP socket (`NETDEV_XSK_FLAGS_*`,
/// Linux 6.8), in bit order.
const TX_METADATA: [&str; 3] = ["timestamp", "checksum", "launch time"];

impl XdpFeatures {
    /// Returns true if the driver provides receive timestamps.
    pub const fn provides_timestamp(self) -> bool {
        self.rx_metadata & 1 != 0
    }

    /// Returns true if the driver provides the hash of received frames.
    pub const fn provides_hash(self) -> bool {
        self.rx_metadata & 1 << 1 != 0
    }

    /// Returns true if the driver provides the VLAN tag that it stripped from a received frame
    /// (Linux 6.8).
    pub const fn provides_vlan(self) -> bool {
        self.rx_metadata & 1 << 2 != 0
    }

    /// Returns the names of the metadata that the driver provides for received frames.
    pub fn rx_metadata(self) -> impl Iterator<Item = &'static str> {
        named(self.rx_metadata, &RX_METADATA)
    }

    /// Returns the names of the metadata that the driver processes for sent frames.
    pub fn tx_metadata(self) -> impl Iterator<Item = &'static str> {
        named(self.tx_metadata, &TX_METADATA)
    }
}

/// Returns the names of the set bits. Bits without a name are newer than this program.
fn named(bits: u64, names: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    names.iter().enumerate().filter(move |(bit, _)| bits & 1 << bit != 0).map(|(_, name)| *name)
}

/// Queries the features of the interface with this index.
pub(super) fn of(index: u32) -> io::Result<XdpFeatures> {
    let netlink = Netlink::open(NETLINK_GENERIC)?;
    let name = attribute(CONTROL_FAMILY_NAME, b"netdev\0");
    let answer = netlink.query(CONTROL_FAMILY, &header(CONTROL_GET_FAMILY), &name)?;
    let family = find(&answer, CONTROL_FAMILY_ID)
        .and_then(<[u8]>::first_chunk)
        .map(|bytes| u16::from_ne_bytes(*bytes))
        .ok_or(io::ErrorKind::Unsupported)?;
    let wanted = attribute(DEVICE_INDEX, &index.to_ne_bytes());
    let answer = netlink.query(family, &header(DEVICE_GET), &wanted)?;
    read(&answer).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Parses the features in an answer of the family `netdev`.
fn read(answer: &[u8]) -> Option<XdpFeatures> {
    let bits = |kind| Some(u64::from_ne_bytes(*find(answer, kind)?.first_chunk()?));
    Some(XdpFeatures {
        bits: bits(DEVICE_XDP_FEATURES)?,
        rx_metadata: bits(DEVICE_RX_METADATA).unwrap_or_default(),
        tx_metadata: bits(DEVICE_TX_METADATA).unwrap_or_default(),
        zero_copy_segments_max: find_u32(answer, DEVICE_ZERO_COPY_SEGMENTS).unwrap_or_default(),
    })
}

/// `struct genlmsghdr`: command, version, and two unused bytes.
const fn header(command: u8) -> [u8; 4] {
    [command, 1, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_names_and_older_kernels_have_none() {
        let of = |kind: u16, bits: u64| attribute(kind, &bits.to_ne_bytes());
        let old = read(&of(DEVICE_XDP_FEATURES, 0b1011)).unwrap();
        assert!(old.native() && old.zero_copy() && !old.multi_buffer());
        assert_eq!(old.rx_metadata().count() + old.tx_metadata().count(), 0);
        let new = [
            of(DEVICE_XDP_FEATURES, 3),
            of(DEVICE_RX_METADATA, 0b110),
            of(DEVICE_TX_METADATA, 1 << 40 | 0b10),
        ]
        .concat();
        let new = read(&new).unwrap();
        assert_eq!(new.rx_metadata().collect::<Vec<_>>(), ["hash", "VLAN tag"]);
        assert_eq!(new.tx_metadata().collect::<Vec<_>>(), ["checksum"]);
        assert_eq!(read(&of(DEVICE_RX_METADATA, 7)), None, "an answer without the features");
    }
}
