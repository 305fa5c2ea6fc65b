//! Misdirected frames: the worker that sees them next.
//!
//! With hash steering the owner is known. Otherwise a frame that matches no flow visits all workers
//! once, and the last one replies. With RSS steering the frame first goes to the worker whose queue
//! the NIC should have chosen. So a NIC that steers differently than its configuration says costs
//! time, but no connection.

use core::net::SocketAddr;

use crate::metrics::{DropReason, Event};
use crate::shard::engine::Engine;
use crate::shard::flow::key::FlowKey;
use crate::shard::flow::steer::Steering;
use crate::shard::rx::handover::{Handover, HandoverResult};

impl Engine {
    /// Returns the next worker to see a segment without a flow here, or `None` if all have seen it.
    pub(in crate::shard) fn next_worker(&self, hash: u64, key: &FlowKey, hops: u8) -> Option<u16> {
        if self.workers.count <= 1 {
            return None;
        }
        match self.workers.steering {
            Steering::Hash { .. } => self.owner_elsewhere(hash, key, hops),
            // The owner is unknown: the frame visits all workers, and the last one replies.
            Steering::Single => {
                (u16::from(hops) + 1 < self.workers.count).then(|| self.workers.next())
            }
            Steering::Rss { .. } => self.next_by_rss(key, hops),
        }
    }

    /// Returns the worker whose queue the NIC should have chosen, then the others in turn. The
    /// frame may return to the worker where it landed, so the number of hops may exceed the other
    /// workers by one.
    fn next_by_rss(&self, key: &FlowKey, hops: u8) -> Option<u16> {
        if u16::from(hops) >= self.workers.count {
            return None;
        }
        let rss_owner = if hops == 0 { self.rss_owner(key) } else { None };
        Some(rss_owner.unwrap_or(self.workers.next()))
    }

    /// Returns the worker to which the NIC should have steered a flow, if it is another one.
    fn rss_owner(&self, key: &FlowKey) -> Option<u16> {
        let local = SocketAddr::new(self.ip.locals.address(key.local), key.remote.local_port());
        let owner = self.workers.steering.owner(0, key.remote.socket(), local);
        (owner < self.workers.count && owner != self.workers.this).then_some(owner)
    }

    /// Counts a frame that arrived on another queue than the NIC's hash predicts.
    pub(in crate::shard) fn count_misdirected(&mut self, key: &FlowKey, hops: u8) {
        let may_be_misdirected = hops == 0 && matches!(self.workers.steering, Steering::Rss { .. });
        if may_be_misdirected && self.rss_owner(key).is_some() {
            self.turn.counters.count(Event::Strayed);
        }
    }

    /// Returns the worker that owns a flow by its hash, if it is another one. A frame is handed
    /// over once.
    pub(in crate::shard) fn owner_elsewhere(
        &self,
        hash: u64,
        key: &FlowKey,
        hops: u8,
    ) -> Option<u16> {
        if hops > 0 || !self.workers.steering.may_misdirect() {
            return None;
        }
        let local = SocketAddr::new(self.ip.locals.address(key.local), key.remote.local_port());
        let owner = self.workers.steering.owner(hash, key.remote.socket(), local);
        (owner != self.workers.this).then_some(owner)
    }

    /// Hands a frame over to another worker.
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
