//! A fragment as reassembly sees it, the key of its datagram, and the reasons to refuse it.

use core::net::IpAddr;

use crate::metrics::DropReason;
use crate::wire::Protocol;

/// The fields that the fragments of one datagram share.
///
/// RFC 791 §3.2:
/// > the same values for the four fields: identification, source, destination, and protocol
///
/// RFC 8200 §4.5 does not include the protocol: it is zero for IPv6.
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
    /// Offset of its data in the datagram, bytes.
    pub(in crate::shard) offset: u32,
    /// The M flag: more fragments follow.
    pub(in crate::shard) more: bool,
    /// ECN bits of its traffic class.
    pub(in crate::shard) ecn: u8,
    /// All headers in front of its data: link header, IP header, extension headers.
    pub(in crate::shard) head: &'a [u8],
    /// Bytes of the fragment header at the end of `head`, which the reassembled datagram does not
    /// have.
    pub(in crate::shard) fragment_header_len: u8,
    /// Offset of the IP header in `head`.
    pub(in crate::shard) ip_at: usize,
    /// The protocol of the reassembled datagram, and the offset in the IP header of the byte that
    /// names it.
    pub(in crate::shard) next_header: (u16, Protocol),
    /// The largest data of the reassembled datagram, given its headers; bytes.
    pub(in crate::shard) payload_max: u32,
    /// Its data.
    pub(in crate::shard) bytes: &'a [u8],
}

/// The reason why a fragment, or its whole datagram, is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Refusal {
    /// No data, or a length that is not a multiple of 8 although more fragments follow.
    Length,
    /// It ends beyond the longest possible packet.
    TooLong,
    /// Its headers are longer than the space for them.
    Headers,
    /// An exact duplicate of a fragment that arrived before.
    Duplicate,
    /// It overlaps or contradicts another fragment: the datagram is refused.
    Overlap,
    /// Its datagram was refused before.
    Refused,
    /// More fragments than any honest sender makes.
    TooMany,
    /// Some fragments are Not-ECT while others carry CE (RFC 3168 §5.3).
    Congestion,
    /// No memory, even after all older datagrams were evicted.
    Full,
}

impl Refusal {
    /// Returns the drop reason under which it is counted.
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
