//! The values that pass between the IP layer and its callers: packets that are not segments, and
//! their effects on flows.

use crate::metrics::DropReason;
use crate::shard::mem::tx_queue::TxQueue;
use crate::tcp::PathError;
use crate::wire::icmp::Quote;

/// A frame that is not a segment, and the queue for the reply.
pub(in crate::shard) struct ControlPacket<'a, 'b, 'c> {
    pub(in crate::shard) frame: &'a [u8],
    /// Number of workers that have seen the frame before.
    pub(in crate::shard) hops: u8,
    /// The frame was reassembled from fragments.
    pub(in crate::shard) was_fragmented: bool,
    pub(in crate::shard) queue: &'c mut TxQueue<'b>,
}

/// An event that the IP layer leaves to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum IpEvent {
    /// Nothing is left to do.
    Done,
    /// Every worker must see the packet, since each has its own neighbour cache and a reply may
    /// arrive on any queue. Holds the result for this worker.
    PassRound(Result<(), DropReason>),
    /// The worker with this number reassembles the fragment's datagram: hand the frame over to it.
    HandOver(u16),
    /// An ICMP error quotes a segment that we may have sent.
    PathError(PathError, Quote),
    /// A frame was discarded because its neighbour does not answer. The quote is the one that an
    /// ICMP error from a router would carry.
    Undeliverable(Quote),
    /// The local address with this number has become invalid: nothing may be sent from it.
    AddressLost(u8),
}
