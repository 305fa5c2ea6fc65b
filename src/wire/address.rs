//! Classification of source addresses.
//!
//! Judges an address by its bits alone. The shard knows the local addresses and the broadcast
//! addresses of the attached networks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Classification of a source address. The stack answers, and opens connections to, a `Host` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum SourceKind {
    /// A host may have this address.
    Host,
    /// The sender has no address yet. Valid only in DHCP, ARP probes and duplicate address
    /// detection.
    Unspecified,
    /// Never seen on a wire (RFC 1122 §3.2.1.3 (g), RFC 4291 §2.5.3).
    Loopback,
    /// A group is never a source (RFC 1112 §7.2, RFC 4291 §2.7).
    Multicast,
    /// The limited broadcast is never a source (RFC 1122 §3.2.1.3).
    Broadcast,
    /// "This network" (RFC 1122 §3.2.1.3 (b)), never assigned (RFC 1112 §4), or an IPv4-compatible
    /// or IPv4-mapped IPv6 address, which must not appear on a wire (RFC 4291 §2.5.5,
    /// RFC 6890 §2.2.3).
    Reserved,
}

/// Classifies an IPv4 source address.
#[inline]
pub fn source_kind_v4(address: Ipv4Addr) -> SourceKind {
    match address.octets()[0] {
        1..=126 | 128..=223 => SourceKind::Host,
        0 if address.is_unspecified() => SourceKind::Unspecified,
        0 => SourceKind::Reserved,
        127 => SourceKind::Loopback,
        224..=239 => SourceKind::Multicast,
        240.. if address.is_broadcast() => SourceKind::Broadcast,
        240.. => SourceKind::Reserved,
    }
}

/// Classifies an IPv6 source address.
#[inline]
pub fn source_kind_v6(address: Ipv6Addr) -> SourceKind {
    match address.segments() {
        [0xff00..=0xffff, ..] => SourceKind::Multicast,
        [0, 0, 0, 0, 0, 0, 0, 0] => SourceKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => SourceKind::Loopback,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] => SourceKind::Reserved,
        _ => SourceKind::Host,
    }
}

/// Classifies a source address of either family.
#[inline]
pub fn source_kind(address: IpAddr) -> SourceKind {
    match address {
        IpAddr::V4(address) => source_kind_v4(address),
        IpAddr::V6(address) => source_kind_v6(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_no_host_has_is_recognised() {
        let table = [
            ("10.0.0.1", SourceKind::Host),
            ("126.255.255.255", SourceKind::Host),
            ("128.0.0.1", SourceKind::Host),
            ("223.255.255.255", SourceKind::Host),
            ("0.0.0.0", SourceKind::Unspecified),
            ("0.0.0.1", SourceKind::Reserved),
            ("127.0.0.1", SourceKind::Loopback),
            ("127.255.255.255", SourceKind::Loopback),
            ("224.0.0.1", SourceKind::Multicast),
            ("239.255.255.255", SourceKind::Multicast),
            ("240.0.0.1", SourceKind::Reserved),
            ("255.255.255.255", SourceKind::Broadcast),
            ("2001:db8::1", SourceKind::Host),
            ("fe80::1", SourceKind::Host),
            ("fd00::1", SourceKind::Host),
            ("::", SourceKind::Unspecified),
            ("::1", SourceKind::Loopback),
            ("::2", SourceKind::Reserved),
            ("::ffff:10.0.0.1", SourceKind::Reserved),
            ("ff02::1", SourceKind::Multicast),
        ];
        for (text, kind) in table {
            let address: IpAddr = text.parse().expect("a literal of the table");
            assert_eq!(source_kind(address), kind, "{text}");
        }
    }
}
