//! Facts that pass between the IP layer and its callers: packets that are not segments, and what
//! they mean for flows.

use crate::metrics::DropReason;
use crate::shard::mem::tx_queue::TxQueue;
use crate::tcp::PathError;
use crate::wire::icmp::Quote;

/// A frame that is not a segment, and the way out for the answer.
pub(in crate::shard) struct ControlPacket<'a, 'b, 'c> {
    pub(in crate::shard) frame: &'a [u8],
    /// Number of workers that have seen the frame before.
    pub(in crate::shard) hops: u8,
    /// The frame was reassembled from fragments.
    pub(in crate::shard) was_fragmented: bool,
    pub(in crate::shard) queue: &'c mut TxQueue<'b>,
}

/// What the IP layer leaves to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum IpEvent {
    /// The packet is done with.
    Done,
    /// Every worker has to see the packet: each has a neighbour cache of its own, and cannot choose
    /// the queue on which an answer arrives. Holds the result for this worker.
    PassRound(Result<(), DropReason>),
    /// The fragments of this datagram meet at another worker.
    HandOver(u16),
    /// An ICMP error quotes a segment of ours.
    PathError(PathError, Quote),
    /// A frame was discarded because its neighbour does not answer: what ICMP would say if the
    /// neighbour were a hop further away.
    Undeliverable(Quote),
    /// The local address with this number is no longer valid: nothing may be sent from it.
    AddressLost(u8),
}
