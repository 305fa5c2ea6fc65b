//! The queues to the other workers, as a shard sees them.

/// The way to the other workers.
pub trait Handover {
    /// Hands a copy of `frame` to `worker`, which is the `hops`-th to see it after the first.
    fn hand_over(&mut self, worker: u16, hops: u8, frame: &[u8]) -> HandoverResult;
}

/// Whether a frame is on its way to another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum HandoverResult {
    /// It is.
    Sent,
    /// The queue is full: the frame is lost.
    Full,
}

/// No other workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleWorker;

impl Handover for SingleWorker {
    fn hand_over(&mut self, _: u16, _: u8, _: &[u8]) -> HandoverResult {
        HandoverResult::Full
    }
}
