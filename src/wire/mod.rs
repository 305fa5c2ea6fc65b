//! Wire formats: bytes to fields and fields to bytes, one file per format. Owns the layouts, the
//! checksums and the validity rules for a single packet. Knows nothing about connections, flows,
//! frame ownership or time.
//!
//! - Parsing does one length check per header; after it no accessor can fail. Results are small and
//!   borrow: payloads, quotes and option areas are slices of the frame.
//! - `parse` is total: any input gives a value or an [`Error`], never a panic.
//! - `emit` writes into the bytes of a frame and returns the number written, or [`NoRoom`].
//! - `parse` reads back what `emit` writes; each format has a property test for this.
//! - Nothing here allocates or uses `std` beyond `core`.
//!
//! ```
//! use linerate::wire::checksum::{PseudoHeader, Verdict};
//! use linerate::wire::{EtherType, Protocol, ethernet, ipv4, tcp};
//!
//! fn destination_port(frame: &[u8]) -> Option<u16> {
//!     let (ethernet, packet) = ethernet::parse(frame).ok()?;
//!     if ethernet.ethertype != EtherType::IPV4 {
//!         return None;
//!     }
//!     let (ip, segment) = ipv4::parse(packet).ok()?;
//!     if ip.protocol != Protocol::TCP || ip.fragment.is_fragment() {
//!         return None;
//!     }
//!     match tcp::verify(PseudoHeader::v4(ip.src, ip.dst), segment) {
//!         Verdict::Good => tcp::parse(segment).ok().map(|(header, _payload)| header.dst_port),
//!         Verdict::PseudoHeaderOnly | Verdict::Bad => None,
//!     }
//! }
//! assert_eq!(destination_port(&[0; 14]), None);
//! ```

mod address;
mod error;
mod protocol;

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod plain;
pub mod tcp;
pub mod vlan;

pub use address::{SourceKind, source_kind, source_kind_v4, source_kind_v6};
pub use error::{Error, NoRoom};
pub use ethernet::MacAddr;
pub use protocol::{EtherType, Protocol, TrafficClass};
