//! A worker: one thread, one core, one queue, one shard, and the loop that turns it.
//!
//! Owns the order of a round: commands, frames of other workers, one turn, rest. Nothing here allocates,
//! locks or calls the kernel while there is work, but for the clock and the link's kick.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use super::barrier::WorkerBarrier;
use super::budget::Share;
use super::census::Slice;
use super::clock::Clock;
use super::control::{Shutdown, Waker};
use super::handover::HandoverQueues;
use super::idle::{Idle, IdlePolicy, Rest};
use super::mirror::{Change, Shared};
use super::publish::{Figures, Published};
use super::waits::Waits;
use crate::limits::{CONTROL_QUEUE, LOCAL_ADDRESSES_MAX};
use crate::link::Link;
use crate::metrics::{Event, Latencies};
use crate::shard::{
    AddressState, Handover, HandoverResult, Prefix, Route, Service, Shard, Steering, TurnEnv,
};
use crate::time::{Duration, Instant};
use crate::wire::MacAddr;

/// How often counters are published: often enough for a live view, rarely enough to cost nothing.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// What other threads ask of a worker.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// The kernel's tables changed.
    Mirror(Change),
    /// The NIC divides flows in another way now.
    Steer(Arc<Steering>),
    /// The interface takes packets of so many bytes now.
    Mtu(usize),
    /// End.
    Stop(Shutdown),
}

/// What a worker shares with the threads around it.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) commands: ArrayQueue<Command>,
    pub(super) waker: Arc<Waker>,
    pub(super) published: Published,
    /// A slice of the connections to fill, and the one that is filled.
    pub(super) asked: ArrayQueue<Box<Slice>>,
    pub(super) told: ArrayQueue<Box<Slice>>,
    /// Addresses that another station has, with its MAC.
    pub(super) refused: ArrayQueue<(IpAddr, MacAddr)>,
    /// Addresses that the shard has made itself.
    pub(super) adopted: ArrayQueue<IpAddr>,
    /// Stations that contest an address of ours.
    pub(super) contested: ArrayQueue<(IpAddr, MacAddr)>,
    /// Set once every address is known to be ours or another's, and the service has begun.
    pub(super) begun: AtomicBool,
    /// Set when the worker has ended, whatever the reason.
    pub(super) ended: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        Self {
            commands: ArrayQueue::new(CONTROL_QUEUE),
            waker,
            published: Published::new(),
            asked: ArrayQueue::new(1),
            told: ArrayQueue::new(1),
            refused: ArrayQueue::new(LOCAL_ADDRESSES_MAX),
            adopted: ArrayQueue::new(LOCAL_ADDRESSES_MAX),
            contested: ArrayQueue::new(CONTROL_QUEUE),
            begun: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Queues a command and wakes the worker; a full queue drops it (the mirror tells again).
    pub(super) fn ask(&self, command: Command) {
        if self.commands.push(command).is_ok() {
            self.waker.wake();
        }
    }
}

/// Everything a worker's thread owns.
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) shard: Shard,
    pub(super) link: Box<dyn Link + Send>,
    pub(super) service: Box<dyn Service + Send>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) post: Arc<HandoverQueues>,
    pub(super) barrier: Arc<WorkerBarrier>,
    pub(super) mirror: Option<Arc<Shared>>,
    pub(super) idle: IdlePolicy,
    /// How long turns took that found something to do.
    pub(super) turns: Latencies,
    /// How long frames waited, where that is asked for.
    pub(super) waits: Option<Waits>,
    /// Its part of the memory of all workers, if that is bounded.
    pub(super) share: Option<Share>,
    /// Its service has stopped, and is called no more.
    pub(super) resigned: bool,
}

/// What a worker runs once its own service has stopped.
struct NoopService;

impl Service for NoopService {}

/// The shard's door to the other workers.
struct Door<'a>(&'a HandoverQueues);

impl Handover for Door<'_> {
    fn hand_over(&mut self, worker: u16, hops: u8, frame: &[u8]) -> HandoverResult {
        if self.0.send(usize::from(worker), frame, hops) {
            HandoverResult::Sent
        } else {
            HandoverResult::Full
        }
    }
}

/// Why the loop ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// Once the services of all workers have stopped, as its own has: what belongs to another may come in here.
    WithTheOthers,
    /// Connections are being closed; at the latest then what is left is reset.
    Closing(Instant),
    /// At once.
    Now,
}

impl Worker {
    /// Runs until told to stop, by a command or by the service; gives the service back.
    pub(super) fn run(mut self) -> Self {
        let clock = Clock::new();
        let mut now = clock.now();
        let mut idle = Idle::new(self.idle, now);
        let mut leaving = Leaving::No;
        let mut publish_at = now;
        let mut busy = false;
        if let Some(share) = &self.share {
            self.shard.set_memory_limit(share.bytes());
        }
        self.shard.hold_service();
        self.on_shard(now, |shard, around, now| shard.start(now, around));
        while leaving != Leaving::Now {
            leaving = self.handle_commands(now, leaving);
            self.collect_post();
            self.balance_memory();
            self.shard.poll_rx(now, self.link.as_mut());
            // What arrived did so before this, however long somebody else had the core.
            let begun = core::mem::replace(&mut now, clock.now());
            if busy {
                self.turns.record(now.since(begun).as_nanos());
            }
            if let Some(waits) = &mut self.waits {
                let told = waits.record(&clock, now, self.link.metadata());
                self.shard.count(Event::StampedByDriver, told.by_driver);
                self.shard.count(Event::StampForeign, told.foreign);
            }
            let turn = self.on_shard(now, |shard, around, now| shard.process(now, around));
            if turn.stop {
                leaving = self.resign(leaving);
            }
            self.tell_addresses();
            self.begin_service();
            leaving = self.drain(now, leaving);
            busy = turn.received + turn.sent > 0;
            if now >= publish_at {
                self.publish();
                publish_at = now + PUBLISH_EVERY;
            }
            let deadline = self.deadline(publish_at);
            match idle.after_turn(now, busy, deadline) {
                Rest::Sleep(span) => {
                    self.sleep(span);
                    now = clock.now();
                }
                // On a virtual link the kernel's half of the work may be waiting for this very core: a
                // spinning worker that never yields keeps it out for a whole time slice (some ms).
                Rest::No if !busy => {
                    std::thread::yield_now();
                    let yielded_at = core::mem::replace(&mut now, clock.now());
                    idle.after_yield(yielded_at, now);
                }
                Rest::No => {}
            }
        }
        self.publish();
        self
    }

    fn on_shard<T>(
        &mut self,
        now: Instant,
        f: impl FnOnce(&mut Shard, &mut TurnEnv<'_>, Instant) -> T,
    ) -> T {
        let mut around = TurnEnv {
            link: self.link.as_mut(),
            service: if self.resigned { &mut NoopService } else { self.service.as_mut() },
            handover: &mut Door(&self.post),
        };
        f(&mut self.shard, &mut around, now)
    }

    fn handle_commands(&mut self, now: Instant, mut leaving: Leaving) -> Leaving {
        if let Some(mut slice) = self.mailbox.asked.pop() {
            slice.next = self.shard.census(slice.from, &mut slice.rows);
            self.mailbox.told.force_push(slice);
        }
        while let Some(command) = self.mailbox.commands.pop() {
            match command {
                Command::Mirror(change) => self.apply_mirror(now, change),
                Command::Steer(steering) => self.shard.set_steering(&steering),
                Command::Mtu(mtu) => self.shard.set_mtu(now, mtu),
                Command::Stop(Shutdown::Abort) => {
                    self.shard.abort_all(now);
                    leaving = Leaving::Closing(now);
                }
                Command::Stop(Shutdown::Close { grace }) => {
                    self.shard.close_all(now);
                    leaving = Leaving::Closing(now + grace);
                }
            }
        }
        leaving
    }

    /// Whether what is open is closed by now; past the grace it is reset, which takes one more turn.
    fn drain(&mut self, now: Instant, leaving: Leaving) -> Leaving {
        let Leaving::Closing(until) = leaving else { return leaving };
        if self.shard.connections() == 0 {
            return Leaving::Now;
        }
        if now < until {
            return leaving;
        }
        self.shard.abort_all(now);
        let _ = self.on_shard(now, |shard, around, now| shard.turn(now, around));
        Leaving::Now
    }

    /// In exclusive mode the kernel's tables are about other addresses than ours.
    fn apply_mirror(&mut self, now: Instant, change: Change) {
        if self.mirror.is_none() {
            return;
        }
        match change {
            Change::Neighbour { address, mac } => self.shard.mirror_neighbour(now, address, mac),
            Change::Route { destination, prefix, gateway, source, metric, exists } => {
                let prefix = Prefix::new(destination, prefix);
                if exists {
                    self.shard.add_route(Route { prefix, gateway, source, metric, mtu: None });
                } else {
                    self.shard.remove_route(prefix, gateway, metric);
                }
            }
            Change::Carrier(_) | Change::Gone => {}
        }
    }

    fn collect_post(&mut self) {
        while let Some(frame) = self.post.collect(self.number) {
            self.shard.inject_handover(frame.bytes(), frame.hops);
            self.post.recycle(frame);
        }
        let Some(mirror) = &self.mirror else { return };
        while let Some(address) = self.shard.unresolved_neighbour() {
            mirror.want(address);
        }
    }

    /// Tells of addresses made and contested. All workers see the same: one tells.
    fn tell_addresses(&mut self) {
        while let Some(address) = self.shard.take_adopted() {
            if self.number == 0 {
                // There is a place for every address; one that finds none is heard by its group alone.
                let _ = self.mailbox.adopted.push(address);
            }
        }
        while let Some(contest) = self.shard.take_contested() {
            if self.number == 0 {
                let _ = self.mailbox.contested.push(contest);
            }
        }
    }

    /// The service has stopped. Its worker goes on as long as another's service does.
    fn resign(&mut self, leaving: Leaving) -> Leaving {
        if !self.resigned {
            self.resigned = true;
            self.barrier.resign(self.number);
        }
        match leaving {
            Leaving::No | Leaving::WithTheOthers if self.barrier.all_resigned() => Leaving::Now,
            Leaving::No => Leaving::WithTheOthers,
            other => other,
        }
    }

    /// Has the service begin, once the addresses of all workers are settled, and tells how that ended.
    fn begin_service(&mut self) {
        if self.mailbox.begun.load(Ordering::Relaxed) || self.shard.is_claiming() {
            return;
        }
        self.barrier.settle(self.number);
        if !self.barrier.all_settled() {
            return;
        }
        if !self.shard.has_begun() {
            return self.shard.release_service();
        }
        for (address, state) in self.shard.addresses() {
            if let AddressState::Refused(mac) = state {
                // There is a place for every address.
                let _ = self.mailbox.refused.push((address, mac));
            }
        }
        self.mailbox.begun.store(true, Ordering::Release);
    }

    fn balance_memory(&mut self) {
        let Some(share) = &mut self.share else { return };
        if let Some(bytes) = share.balance(&self.shard.memory()) {
            self.shard.set_memory_limit(bytes);
        }
    }

    fn publish(&mut self) {
        let link = self.link.statistics();
        self.mailbox.published.store(&Figures {
            counters: self.shard.counters(),
            link,
            memory: self.shard.memory(),
            connections: self.shard.connections(),
            time_waits: self.shard.time_waits(),
            turns: &self.turns,
            handshakes: self.shard.handshakes(),
            waits: self.waits.as_ref().map(|waits| &waits.spread),
        });
    }

    /// Whether the other workers have said what this one waits for.
    fn is_called(&self) -> bool {
        let begun = self.mailbox.begun.load(Ordering::Relaxed);
        (!begun && self.barrier.all_settled()) || (self.resigned && self.barrier.all_resigned())
    }

    fn deadline(&self, publish_at: Instant) -> Option<Instant> {
        let earliest = [self.shard.deadline(), self.link.deadline(), Some(publish_at)];
        earliest.into_iter().flatten().min()
    }

    fn sleep(&self, span: Duration) {
        let mailbox = &self.mailbox;
        let unasked = || mailbox.commands.is_empty() && mailbox.asked.is_empty();
        let alone = || !self.is_called() && self.post.is_empty(self.number);
        let quiet = || unasked() && alone();
        let fd = self.link.wait_fd();
        self.mailbox.waker.sleep(fd, span, quiet);
    }
}

/// Tells that the worker's thread has ended, a panic included: nobody is to wait for it.
pub(super) struct EndMark {
    pub(super) number: usize,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) barrier: Arc<WorkerBarrier>,
}

impl Drop for EndMark {
    fn drop(&mut self) {
        self.barrier.settle(self.number);
        self.barrier.resign(self.number);
        self.mailbox.ended.store(true, Ordering::SeqCst);
    }
}
