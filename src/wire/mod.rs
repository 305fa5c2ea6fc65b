//! Bytes to fields and fields to bytes. One length check per header, then no accessor can fail.

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod tcp;
pub mod vlan;
