//! A host of the world: one or more workers, each a shard with its service and its port of the
//! switch.

use crate::link::Link;
use crate::link::impair::Impaired;
use crate::link::memory::MemoryLink;
use crate::shard::{Handover, HandoverResult, Service, Shard, TurnEnv};
use crate::time::Instant;

/// The index of a host, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostId(pub usize);

/// One or more workers behind one Ethernet address.
pub struct Host {
    pub(super) mac: [u8; 6],
    pub(super) workers: Vec<Worker>,
    handover: Vec<HandoverFrame>,
    /// Time at which the connections that are left are reset, once it drains.
    drains_at: Option<Instant>,
}

/// A shard with its service and the two ends of its cable.
pub(super) struct Worker {
    pub(super) shard: Shard,
    pub(super) near: Box<dyn Link>,
    /// The switch's end of the cable, with its impairments.
    pub(super) far: Impaired<MemoryLink>,
    service: Box<dyn Service>,
    pub(super) stopped: bool,
}

/// A frame on its way between workers.
struct HandoverFrame {
    worker: usize,
    hops: u8,
    bytes: Vec<u8>,
}

struct HandoverQueue<'a>(&'a mut Vec<HandoverFrame>);

impl Handover for HandoverQueue<'_> {
    fn hand_over(&mut self, worker: u16, hops: u8, frame: &[u8]) -> HandoverResult {
        self.0.push(HandoverFrame { worker: usize::from(worker), hops, bytes: frame.to_vec() });
        HandoverResult::Sent
    }
}

impl Host {
    pub(super) const fn new(mac: [u8; 6]) -> Self {
        Self { mac, workers: Vec::new(), handover: Vec::new(), drains_at: None }
    }

    /// Adds a worker and starts its service.
    pub(super) fn add(
        &mut self,
        now: Instant,
        shard: Shard,
        cable: (Box<dyn Link>, Impaired<MemoryLink>),
        service: Box<dyn Service>,
    ) {
        let (near, far) = cable;
        let mut worker = Worker { shard, near, far, service, stopped: false };
        worker.shard.start(
            now,
            &mut TurnEnv {
                link: worker.near.as_mut(),
                service: worker.service.as_mut(),
                handover: &mut HandoverQueue(&mut self.handover),
            },
        );
        self.workers.push(worker);
    }

    /// Begins to drain every worker.
    pub(super) fn drain(&mut self, now: Instant, deadline: Instant) {
        self.drains_at = Some(deadline);
        for worker in &mut self.workers {
            let env = &mut TurnEnv {
                link: worker.near.as_mut(),
                service: worker.service.as_mut(),
                handover: &mut HandoverQueue(&mut self.handover),
            };
            worker.shard.drain(now, env, deadline);
        }
    }

    /// Resets the connections that are left at the deadline of a drain.
    fn end_drain(&mut self, now: Instant) {
        if self.drains_at.is_some_and(|deadline| deadline <= now) {
            self.drains_at = None;
            self.workers.iter_mut().for_each(|worker| worker.shard.abort_all(now));
        }
    }

    /// Returns the number of workers.
    pub const fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Returns the shard of a worker.
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.workers[worker].shard
    }

    /// Returns the shard of a worker for changes.
    pub fn shard_mut(&mut self, worker: usize) -> &mut Shard {
        &mut self.workers[worker].shard
    }

    /// Returns the link of a worker.
    pub fn link(&self, worker: usize) -> &dyn Link {
        self.workers[worker].near.as_ref()
    }

    /// Returns true if the service of a worker has stopped.
    pub fn has_stopped(&self, worker: usize) -> bool {
        self.workers[worker].stopped
    }

    /// Runs one turn of every worker. Returns true if any frame moved.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        let mut moved = false;
        self.end_drain(now);
        for frame in core::mem::take(&mut self.handover) {
            let worker = &mut self.workers[frame.worker];
            worker.shard.inject_handover(&frame.bytes, frame.hops);
        }
        for worker in &mut self.workers {
            let turn = worker.shard.turn(
                now,
                &mut TurnEnv {
                    link: worker.near.as_mut(),
                    service: worker.service.as_mut(),
                    handover: &mut HandoverQueue(&mut self.handover),
                },
            );
            worker.stopped |= turn.stop;
            moved |= turn.received + turn.sent > 0;
        }
        moved || !self.handover.is_empty()
    }

    /// Returns the earliest deadline of the workers and their cables.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let of = |w: &Worker| {
            let due = [w.shard.deadline(), w.near.deadline(), w.far.deadline()];
            due.into_iter().flatten().min()
        };
        self.workers.iter().filter_map(of).chain(self.drains_at).min()
    }
}
