//! A fragment as reassembly sees it: where its bytes belong, and what is refused of it.

use core::net::IpAddr;

use crate::metrics::DropReason;
use crate::wire::Protocol;

/// What the parts of one datagram have in common.
///
/// RFC 791 §3.2:
/// > the same values for the four fields: identification, source, destination, and protocol
///
/// RFC 8200 §4.5 leaves the protocol out; it is zero there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::shard) struct Key {
    pub(in crate::shard) src: IpAddr,
    pub(in crate::shard) dst: IpAddr,
    pub(in crate::shard) protocol: u8,
    pub(in crate::shard) ident: u32,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Fragment<'a> {
    pub(in crate::shard) key: Key,
    /// Where its bytes belong.
    pub(in crate::shard) offset: u32,
    /// Whether more parts follow.
    pub(in crate::shard) more: bool,
    /// The congestion bits of its traffic class.
    pub(in crate::shard) ecn: u8,
    /// Everything in front of its bytes: link header, IP header, extension headers.
    pub(in crate::shard) head: &'a [u8],
    /// Bytes at the end of `head` that the whole datagram does not have: the fragment header.
    pub(in crate::shard) fragment_header_len: u8,
    /// Where in `head` the IP header begins.
    pub(in crate::shard) ip_at: usize,
    /// Where in the IP header the byte is that names what the whole datagram carries, and its value.
    pub(in crate::shard) next_header: (u16, Protocol),
    /// How many bytes the whole datagram's data may have beside its headers.
    pub(in crate::shard) payload_max: u32,
    /// Its bytes.
    pub(in crate::shard) bytes: &'a [u8],
}

/// Why a fragment, or its datagram with it, goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Refusal {
    /// No bytes, or a length that no part but the last may have.
    Length,
    /// It would end past the longest packet.
    TooLong,
    /// Headers longer than are kept.
    Headers,
    /// It was there already, the very same.
    Duplicate,
    /// It contradicts another part: the datagram is refused.
    Overlap,
    /// Of a datagram that was refused before.
    Refused,
    /// More parts than any honest sender makes.
    TooMany,
    /// Some parts say that the path carries congestion marks and others that it met congestion
    /// (RFC 3168 §5.3).
    Congestion,
    /// No memory, though everything older was let go.
    Full,
}

impl Refusal {
    /// The name under which it is counted.
    pub(in crate::shard) const fn reason(self) -> DropReason {
        match self {
            Self::Length | Self::TooLong | Self::Headers | Self::Congestion => {
                DropReason::FragmentMalformed
            }
            Self::Duplicate => DropReason::FragmentDuplicate,
            Self::Overlap | Self::Refused => DropReason::FragmentOverlap,
            Self::TooMany | Self::Full => DropReason::ReassemblyFull,
        }
    }
}
