//! A host of the world: one or more workers, each a shard with its service and its port of the switch.

use crate::link::Link;
use crate::link::impair::Impaired;
use crate::link::memory::MemoryLink;
use crate::shard::{Handover, HandoverResult, Service, Shard, TurnEnv};
use crate::time::Instant;

/// A host of the world, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostId(pub usize);

/// One or more workers behind one hardware address.
pub struct Host {
    pub(super) mac: [u8; 6],
    pub(super) workers: Vec<Worker>,
    parcels: Vec<Parcel>,
}

/// A shard with what surrounds it.
pub(super) struct Worker {
    pub(super) shard: Shard,
    pub(super) near: Box<dyn Link>,
    /// The switch's end of the cable, with the weather on it.
    pub(super) far: Impaired<MemoryLink>,
    service: Box<dyn Service>,
    pub(super) stopped: bool,
}

/// A frame on its way between workers.
struct Parcel {
    worker: usize,
    hops: u8,
    bytes: Vec<u8>,
}

struct PostOffice<'a>(&'a mut Vec<Parcel>);

impl Handover for PostOffice<'_> {
    fn hand_over(&mut self, worker: u16, hops: u8, frame: &[u8]) -> HandoverResult {
        self.0.push(Parcel { worker: usize::from(worker), hops, bytes: frame.to_vec() });
        HandoverResult::Sent
    }
}

impl Host {
    pub(super) const fn new(mac: [u8; 6]) -> Self {
        Self { mac, workers: Vec::new(), parcels: Vec::new() }
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
                handover: &mut PostOffice(&mut self.parcels),
            },
        );
        self.workers.push(worker);
    }

    /// How many workers it has.
    pub const fn workers(&self) -> usize {
        self.workers.len()
    }

    /// The shard of a worker.
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.workers[worker].shard
    }

    /// The shard of a worker, to be given orders.
    pub fn shard_mut(&mut self, worker: usize) -> &mut Shard {
        &mut self.workers[worker].shard
    }

    /// The link of a worker.
    pub fn link(&self, worker: usize) -> &dyn Link {
        self.workers[worker].near.as_ref()
    }

    /// Whether the service of a worker has asked to stop.
    pub fn has_stopped(&self, worker: usize) -> bool {
        self.workers[worker].stopped
    }

    /// A turn of every worker. Returns whether anything moved.
    pub(super) fn turn(&mut self, now: Instant) -> bool {
        let mut moved = false;
        for parcel in core::mem::take(&mut self.parcels) {
            let worker = &mut self.workers[parcel.worker];
            worker.shard.inject_handover(&parcel.bytes, parcel.hops);
        }
        for worker in &mut self.workers {
            let turn = worker.shard.turn(
                now,
                &mut TurnEnv {
                    link: worker.near.as_mut(),
                    service: worker.service.as_mut(),
                    handover: &mut PostOffice(&mut self.parcels),
                },
            );
            worker.stopped |= turn.stop;
            moved |= turn.received + turn.sent > 0;
        }
        moved || !self.parcels.is_empty()
    }

    /// When a worker or an end of its cable wants to be called again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let of = |w: &Worker| {
            let due = [w.shard.deadline(), w.near.deadline(), w.far.deadline()];
            due.into_iter().flatten().min()
        };
        self.workers.iter().filter_map(of).min()
    }
}
