//! A segment on its way to its flow, and the paths out of the shard meanwhile.

use crate::shard::mem::tx_queue::TxQueue;
use crate::shard::rx::batch::{Arrival, Batch};
use crate::shard::rx::handover::Handover;
use crate::tcp::Segment;

/// A segment, with the frame and the batch that it came in.
#[derive(Clone, Copy)]
pub(in crate::shard) struct RxSegment<'a> {
    pub(in crate::shard) arrival: &'a Arrival,
    pub(in crate::shard) segment: &'a Segment<'a>,
    pub(in crate::shard) batch: &'a Batch,
}

impl<'a> RxSegment<'a> {
    /// Returns the whole frame, for handover to another worker.
    pub(in crate::shard) fn frame(&self) -> &'a [u8] {
        self.batch.bytes(self.arrival.source).0
    }

    /// Returns the number of workers that have seen the frame before.
    pub(in crate::shard) fn hops(&self) -> u8 {
        self.batch.hops(self.arrival.source)
    }
}

/// The paths out of the shard while segments are processed.
pub(in crate::shard) struct TxPaths<'a, 'b> {
    pub(in crate::shard) queue: &'a mut TxQueue<'b>,
    pub(in crate::shard) handover: &'a mut dyn Handover,
}
