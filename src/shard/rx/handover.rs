//! The queues to the other workers, as seen by a shard.

/// The handover queues to the other workers.
pub trait Handover {
    /// Hands a copy of `frame` over to `worker`. `hops` is the number of workers that have seen the
    /// frame.
    fn hand_over(&mut self, worker: u16, hops: u8, frame: &[u8]) -> HandoverResult;
}

/// Result of handing a frame over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum HandoverResult {
    /// The frame is in the queue.
    Sent,
    /// The queue is full; the frame is lost.
    Full,
}

/// Handover without other workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleWorker;

impl Handover for SingleWorker {
    fn hand_over(&mut self, _: u16, _: u8, _: &[u8]) -> HandoverResult {
        HandoverResult::Full
    }
}
