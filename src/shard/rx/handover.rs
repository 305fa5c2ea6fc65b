//! Frames that landed on the wrong worker: who is asked next, and the frames others have handed here.
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

/// The way to the other workers.
pub trait Handover {
    /// Hands a copy of `frame` to `worker`, which is the `hops`-th to see it after the first.
    fn hand_over(&mut self, worker: u16, hops: u8, frame: &[u8]) -> Handed;
}

/// Whether a frame is on its way to another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handed {
    /// It is.
    Sent,
    /// The queue is full: the frame is lost.
    Full,
}

impl Engine {
    /// The worker that should see a segment next for which there is no flow here, if there is one that
    /// did not see it yet.
    pub(in crate::shard) fn next_worker(&self, hash: u64, key: &FlowKey, hops: u8) -> Option<u16> {
        if self.workers <= 1 {
            return None;
        }
        match self.steering {
            Steering::Hash { .. } => self.owner_elsewhere(hash, key, hops),
            // Nothing tells whose it is: it goes round once, and the last one answers it.
            Steering::Single => {
                (u16::from(hops) + 1 < self.workers).then(|| (self.worker + 1) % self.workers)
            }
            Steering::Rss { .. } => self.next_around(key, hops),
        }
    }

    /// First the worker whose queue the NIC should have chosen, then the others in turn. The one that the frame
    /// landed on may see it twice, so that one more may see it than there are.
    fn next_around(&self, key: &FlowKey, hops: u8) -> Option<u16> {
        if u16::from(hops) >= self.workers {
            return None;
        }
        let foreseen = if hops == 0 { self.foreseen(key) } else { None };
        Some(foreseen.unwrap_or((self.worker + 1) % self.workers))
    }

    /// The other worker to which the NIC should have brought a flow.
    fn foreseen(&self, key: &FlowKey) -> Option<u16> {
        let local = SocketAddr::new(self.locals.address(key.local), key.remote.local_port());
        let owner = self.steering.owner(0, key.remote.socket(), local);
        (owner < self.workers && owner != self.worker).then_some(owner)
    }

    /// Counts a frame that came in on another queue than the NIC's hash says.
    pub(in crate::shard) fn note_stray(&mut self, key: &FlowKey, hops: u8) {
        let may_stray = hops == 0 && matches!(self.steering, Steering::Rss { .. });
        if may_stray && self.foreseen(key).is_some() {
            self.counters.count(Event::Strayed);
        }
    }

    /// The worker that owns a flow by its hash, if that is another; a frame is handed over once.
    pub(in crate::shard) fn owner_elsewhere(
        &self,
        hash: u64,
        key: &FlowKey,
        hops: u8,
    ) -> Option<u16> {
        if hops > 0 || !self.steering.may_mislay() {
            return None;
        }
        let local = SocketAddr::new(self.locals.address(key.local), key.remote.local_port());
        let owner = self.steering.owner(hash, key.remote.socket(), local);
        (owner != self.worker).then_some(owner)
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
            Handed::Sent => self.counters.count(Event::HandedOver),
            Handed::Full => self.counters.drop(DropReason::HandoverFull),
        }
    }
}

/// No other workers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Handover for Alone {
    fn hand_over(&mut self, _: u16, _: u8, _: &[u8]) -> Handed {
        Handed::Full
    }
}

/// Frames that other workers have handed here, until the next turn.
#[derive(Debug, Default)]
pub(in crate::shard) struct Inbox {
    bytes: Vec<u8>,
    frames: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    len: usize,
    hops: u8,
    /// It came in parts.
    was_cut: bool,
}

impl Inbox {
    /// Keeps a copy.
    pub(in crate::shard) fn push(&mut self, frame: &[u8], hops: u8) {
        let (start, len) = (self.bytes.len(), frame.len());
        self.frames.push(Entry { start, len, hops, was_cut: false });
        self.bytes.extend_from_slice(frame);
    }

    /// Keeps a frame that was put together of parts: `write` appends it.
    ///
    /// # Errors
    /// Those of `write`; nothing is kept then.
    pub(in crate::shard) fn push_whole<E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        match written {
            Ok(()) => {
                let len = self.bytes.len() - start;
                self.frames.push(Entry { start, len, hops: 0, was_cut: true });
            }
            Err(_) => self.bytes.truncate(start),
        }
        written
    }

    /// Whether frame `at` came in parts.
    pub(in crate::shard) fn was_cut(&self, at: usize) -> bool {
        self.frames[at].was_cut
    }

    /// Appends all frames of another.
    pub(in crate::shard) fn append(&mut self, other: &mut Self) {
        let from = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        let moved =
            other.frames.drain(..).map(|entry| Entry { start: entry.start + from, ..entry });
        self.frames.extend(moved);
    }

    pub(in crate::shard) fn len(&self) -> usize {
        self.frames.len()
    }

    /// The bytes of frame `at` and how many workers saw it before.
    pub(in crate::shard) fn frame(&self, at: usize) -> (&[u8], u8) {
        let entry = self.frames[at];
        (&self.bytes[entry.start..entry.start + entry.len], entry.hops)
    }

    /// Forgets all, keeping the memory.
    pub(in crate::shard) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_other_workers_wait_in_order_with_their_hops() {
        let mut inbox = Inbox::default();
        inbox.push(b"first", 1);
        inbox.push(b"second", 2);
        assert_eq!(inbox.len(), 2);
        assert_eq!(inbox.frame(0), (&b"first"[..], 1));
        assert_eq!(inbox.frame(1), (&b"second"[..], 2));
        inbox.clear();
        assert_eq!(inbox.len(), 0);
    }
}
