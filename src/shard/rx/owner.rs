//! Frames that landed on the wrong worker: which one sees them next.
//!
//! Where a hash of our own divides the flows, the owner is known. Elsewhere a frame that fits no flow goes
//! round all workers once, and the last one answers it; where the NIC's choice can be foreseen it begins
//! with the worker that should have had it. So a NIC that does not do what it says costs time, no
//! connection.

use core::net::SocketAddr;

use crate::metrics::{DropReason, Event};
use crate::shard::engine::Engine;
use crate::shard::flow::key::FlowKey;
use crate::shard::flow::steer::Steering;
use crate::shard::rx::handover::{Handover, HandoverResult};

impl Engine {
    /// The worker that should see a segment next for which there is no flow here, if there is one that
    /// did not see it yet.
    pub(in crate::shard) fn next_worker(&self, hash: u64, key: &FlowKey, hops: u8) -> Option<u16> {
        if self.workers.count <= 1 {
            return None;
        }
        match self.workers.steering {
            Steering::Hash { .. } => self.owner_elsewhere(hash, key, hops),
            // Nothing tells whose it is: it goes round once, and the last one answers it.
            Steering::Single => {
                (u16::from(hops) + 1 < self.workers.count).then(|| self.workers.next())
            }
            Steering::Rss { .. } => self.next_around(key, hops),
        }
    }

    /// First the worker whose queue the NIC should have chosen, then the others in turn. The one that the frame
    /// landed on may see it twice, so that one more may see it than there are.
    fn next_around(&self, key: &FlowKey, hops: u8) -> Option<u16> {
        if u16::from(hops) >= self.workers.count {
            return None;
        }
        let foreseen = if hops == 0 { self.foreseen(key) } else { None };
        Some(foreseen.unwrap_or(self.workers.next()))
    }

    /// The other worker to which the NIC should have brought a flow.
    fn foreseen(&self, key: &FlowKey) -> Option<u16> {
        let local = SocketAddr::new(self.ip.locals.address(key.local), key.remote.local_port());
        let owner = self.workers.steering.owner(0, key.remote.socket(), local);
        (owner < self.workers.count && owner != self.workers.this).then_some(owner)
    }

    /// Counts a frame that came in on another queue than the NIC's hash says.
    pub(in crate::shard) fn note_stray(&mut self, key: &FlowKey, hops: u8) {
        let may_stray = hops == 0 && matches!(self.workers.steering, Steering::Rss { .. });
        if may_stray && self.foreseen(key).is_some() {
            self.turn.counters.count(Event::Strayed);
        }
    }

    /// The worker that owns a flow by its hash, if that is another; a frame is handed over once.
    pub(in crate::shard) fn owner_elsewhere(
        &self,
        hash: u64,
        key: &FlowKey,
        hops: u8,
    ) -> Option<u16> {
        if hops > 0 || !self.workers.steering.may_mislay() {
            return None;
        }
        let local = SocketAddr::new(self.ip.locals.address(key.local), key.remote.local_port());
        let owner = self.workers.steering.owner(hash, key.remote.socket(), local);
        (owner != self.workers.this).then_some(owner)
    }

    /// Hands a frame to another worker.
    pub(in crate::shard) fn hand_over(
        &mut self,
        worker: u16,
        hops: u8,
        frame: &[u8],
        handover: &mut dyn Handover,
    ) {
        match handover.hand_over(worker, hops + 1, frame) {
            HandoverResult::Sent => self.turn.counters.count(Event::HandedOver),
            HandoverResult::Full => self.turn.counters.drop(DropReason::HandoverFull),
        }
    }
}
