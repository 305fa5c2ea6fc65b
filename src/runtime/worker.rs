//! A worker: one thread, one core, one queue, one shard, and the loop that turns it.
//!
//! Owns the order of a round: commands, frames of other workers, one turn, rest. While there is
//! work, nothing here allocates, locks or makes a system call, except for the clock and the link's
//! kick.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::barrier::WorkerBarrier;
use super::budget::Share;
use super::clock::Clock;
use super::command::{Command, Shutdown};
use super::handover::HandoverQueues;
use super::idle::{Idle, IdlePolicy, Rest};
use super::mailbox::Mailbox;
use super::mirror::{Change, Resolver};
use super::publish::Figures;
use super::waits::Waits;
use crate::link::Link;
use crate::metrics::{Event, Latencies};
use crate::shard::{
    AddressState, Handover, HandoverResult, Prefix, Route, Service, Shard, TurnEnv,
};
use crate::time::{Duration, Instant};

/// Time between two copies of the counters for other threads: short enough for a live view, long
/// enough to cost nothing.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

/// Makes the service of a worker, given its number.
pub(super) type MakeService = Arc<dyn Fn(usize) -> Box<dyn Service> + Send + Sync>;

/// A worker before its thread runs: all of it may move there.
pub(super) struct Seed {
    pub(super) number: usize,
    pub(super) shard: Shard,
    pub(super) link: Box<dyn Link + Send>,
    pub(super) service: MakeService,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) handover: Arc<HandoverQueues>,
    pub(super) barrier: Arc<WorkerBarrier>,
    /// The mirror, in shared mode.
    pub(super) resolver: Option<Arc<Resolver>>,
    pub(super) idle: IdlePolicy,
    /// The record of waits, where they are measured.
    pub(super) waits: Option<Waits>,
    /// Its part of the memory of all workers, if that is bounded.
    pub(super) share: Option<Share>,
}

impl Seed {
    /// Makes the service and the worker. Called on the worker's thread.
    pub(super) fn grow(self) -> Worker {
        Worker {
            number: self.number,
            shard: self.shard,
            link: self.link,
            service: (self.service)(self.number),
            mailbox: self.mailbox,
            handover: self.handover,
            barrier: self.barrier,
            resolver: self.resolver,
            idle: self.idle,
            turns: Latencies::default(),
            waits: self.waits,
            share: self.share,
            service_stopped: false,
        }
    }
}

/// Everything a worker's thread owns.
pub(super) struct Worker {
    pub(super) number: usize,
    pub(super) shard: Shard,
    pub(super) link: Box<dyn Link + Send>,
    pub(super) service: Box<dyn Service>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) handover: Arc<HandoverQueues>,
    pub(super) barrier: Arc<WorkerBarrier>,
    /// The mirror, in shared mode.
    pub(super) resolver: Option<Arc<Resolver>>,
    pub(super) idle: IdlePolicy,
    /// Duration of the turns that had work.
    pub(super) turns: Latencies,
    /// Time that frames waited for their turn, where it is measured.
    pub(super) waits: Option<Waits>,
    /// Its part of the memory of all workers, if that is bounded.
    pub(super) share: Option<Share>,
    /// True once the service has stopped: it is not called any more.
    pub(super) service_stopped: bool,
}

/// Replaces the service of a worker once that has stopped.
struct NoopService;

impl Service for NoopService {}

/// The shard's way to the other workers.
struct ToOtherWorkers<'a>(&'a HandoverQueues);

impl Handover for ToOtherWorkers<'_> {
    fn hand_over(&mut self, worker: u16, hops: u8, frame: &[u8]) -> HandoverResult {
        if self.0.send(usize::from(worker), frame, hops) {
            HandoverResult::Sent
        } else {
            HandoverResult::Full
        }
    }
}

/// The life of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The service has stopped, and services of other workers have not: frames for them may arrive
    /// here.
    AwaitingOthers,
    /// The service closes the connections. At this time the ones left are reset.
    Draining(Instant),
    Ended,
}

impl Worker {
    /// Runs until a command or the service stops it. Drops the service here, on its own thread, and
    /// returns the link.
    pub(super) fn run(mut self) -> Box<dyn Link + Send> {
        let clock = Clock::new();
        let mut now = clock.now();
        let mut idle = Idle::new(self.idle, now);
        let mut phase = Phase::Running;
        let mut publish_at = now;
        let mut busy = false;
        if let Some(share) = &self.share {
            self.shard.set_memory_limit(share.bytes());
        }
        self.shard.hold_service();
        self.on_shard(now, |shard, env, now| shard.start(now, env));
        while phase != Phase::Ended {
            phase = self.handle_commands(now, phase);
            self.collect_handover();
            self.balance_memory();
            self.shard.poll_rx(now, self.link.as_mut());
            // After the RX ring was read: a frame must not seem to arrive before it was sent,
            // however long another program had the core.
            let turn_began = core::mem::replace(&mut now, clock.now());
            if busy {
                self.turns.record(now.since(turn_began).as_nanos());
            }
            if let Some(waits) = &mut self.waits {
                let stamps = waits.record(&clock, now, self.link.metadata());
                self.shard.count(Event::StampedByDriver, stamps.by_driver);
                self.shard.count(Event::StampForeign, stamps.foreign);
            }
            let turn = self.on_shard(now, |shard, env, now| shard.process(now, env));
            if turn.stop {
                phase = self.on_service_stopped(phase);
            }
            self.report_addresses();
            self.report_panics();
            self.report_ports();
            self.start_service();
            phase = self.drain(now, phase);
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
                // On a virtual link the kernel's half of the work may wait for this very core: a
                // spinning worker that never yields delays it by a time slice (some ms).
                Rest::No if !busy => {
                    std::thread::yield_now();
                    let yielded_at = core::mem::replace(&mut now, clock.now());
                    idle.after_yield(yielded_at, now);
                }
                Rest::No => {}
            }
        }
        self.publish();
        self.link
    }

    fn on_shard<T>(
        &mut self,
        now: Instant,
        f: impl FnOnce(&mut Shard, &mut TurnEnv<'_>, Instant) -> T,
    ) -> T {
        let mut env = TurnEnv {
            link: self.link.as_mut(),
            service: if self.service_stopped { &mut NoopService } else { self.service.as_mut() },
            handover: &mut ToOtherWorkers(&self.handover),
        };
        f(&mut self.shard, &mut env, now)
    }

    fn handle_commands(&mut self, now: Instant, mut phase: Phase) -> Phase {
        if let Some(mut page) = self.mailbox.page_requests.pop() {
            page.next = self.shard.census(page.from, &mut page.rows);
            self.mailbox.page_replies.force_push(page);
        }
        while let Some(command) = self.mailbox.commands.pop() {
            match command {
                Command::Mirror(change) => self.apply_mirror(now, change),
                Command::Steer(steering) => self.shard.set_steering(&steering),
                Command::Mtu(mtu) => self.shard.set_mtu(now, mtu),
                Command::Drain(grace) => {
                    let until = now + grace;
                    self.on_shard(now, |shard, env, now| shard.drain(now, env, until));
                    phase = Phase::Draining(until);
                }
                Command::Stop(Shutdown::Abort) => {
                    self.shard.abort_all(now);
                    phase = Phase::Draining(now);
                }
                Command::Stop(Shutdown::Close { grace }) => {
                    self.shard.close_all(now);
                    phase = Phase::Draining(now + grace);
                }
            }
        }
        phase
    }

    /// Ends the worker once all connections are closed. After the grace it resets those left, which
    /// takes one more turn.
    fn drain(&mut self, now: Instant, phase: Phase) -> Phase {
        let Phase::Draining(until) = phase else { return phase };
        if self.shard.connections() == 0 {
            return Phase::Ended;
        }
        if now < until {
            return phase;
        }
        self.shard.abort_all(now);
        let _ = self.on_shard(now, |shard, env, now| shard.turn(now, env));
        Phase::Ended
    }

    /// Applies a change of the kernel's tables. In exclusive mode they do not concern the stack's
    /// addresses.
    fn apply_mirror(&mut self, now: Instant, change: Change) {
        if self.resolver.is_none() {
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
            Change::Carrier(_) | Change::Removed => {}
        }
    }

    fn collect_handover(&mut self) {
        while let Some(frame) = self.handover.collect(self.number) {
            self.shard.inject_handover(frame.bytes(), frame.hops);
            self.handover.recycle(frame);
        }
        let Some(resolver) = &self.resolver else { return };
        while let Some(address) = self.shard.unresolved_neighbour() {
            resolver.resolve(address);
        }
    }

    /// Reports new addresses and address conflicts. All workers see the same, so only the first one
    /// reports.
    fn report_addresses(&mut self) {
        while let Some(address) = self.shard.take_formed_address() {
            if self.number == 0 {
                self.mailbox.report_added(address);
            }
        }
        while let Some((address, mac)) = self.shard.take_address_conflict() {
            if self.number == 0 {
                self.mailbox.report_conflict(address, mac);
            }
        }
    }

    /// Reports the ports of listeners that the service opened and closed.
    fn report_ports(&mut self) {
        while let Some((port, is_open)) = self.shard.port_change() {
            if !self.mailbox.report_port(port, is_open) {
                return;
            }
            self.shard.take_port_change();
        }
    }

    fn report_panics(&mut self) {
        while let Some(message) = self.shard.take_panic() {
            self.mailbox.report_panic(message);
        }
    }

    /// Returns the phase after the service has stopped. The worker goes on as long as the service
    /// of another does.
    fn on_service_stopped(&mut self, phase: Phase) -> Phase {
        if !self.service_stopped {
            self.service_stopped = true;
            self.barrier.service_stopped(self.number);
        }
        match phase {
            Phase::Running | Phase::AwaitingOthers if self.barrier.all_services_stopped() => {
                Phase::Ended
            }
            Phase::Running => Phase::AwaitingOthers,
            other => other,
        }
    }

    /// Starts the service once the addresses of all workers are ready, and reports the addresses
    /// that other hosts hold.
    fn start_service(&mut self) {
        if self.mailbox.started.load(Ordering::Relaxed) || self.shard.is_detecting() {
            return;
        }
        self.barrier.addresses_ready(self.number);
        if !self.barrier.all_addresses_ready() {
            return;
        }
        if !self.shard.has_started() {
            return self.shard.release_service();
        }
        for (address, state) in self.shard.addresses() {
            if let AddressState::Refused(mac) = state {
                // The queue has room for every address.
                let _ = self.mailbox.refused_addresses.push((address, mac));
            }
        }
        self.mailbox.started.store(true, Ordering::Release);
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

    /// Returns true if the other workers have reached what this one waits for.
    fn barrier_opened(&self) -> bool {
        let started = self.mailbox.started.load(Ordering::Relaxed);
        (!started && self.barrier.all_addresses_ready())
            || (self.service_stopped && self.barrier.all_services_stopped())
    }

    fn deadline(&self, publish_at: Instant) -> Option<Instant> {
        let earliest = [self.shard.deadline(), self.link.deadline(), Some(publish_at)];
        earliest.into_iter().flatten().min()
    }

    fn sleep(&self, span: Duration) {
        let mailbox = &self.mailbox;
        let no_commands = || mailbox.commands.is_empty() && mailbox.page_requests.is_empty();
        let no_handover = || !self.barrier_opened() && self.handover.is_empty(self.number);
        let nothing_waits = || no_commands() && no_handover() && !self.shard.is_woken();
        let fd = self.link.wait_fd();
        self.mailbox.waker.sleep(fd, span, nothing_waits);
    }
}

/// Reports on drop that the worker's thread has ended, by a panic too, so that nothing waits for
/// it.
pub(super) struct EndMark {
    pub(super) number: usize,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) barrier: Arc<WorkerBarrier>,
}

impl Drop for EndMark {
    fn drop(&mut self) {
        self.barrier.addresses_ready(self.number);
        self.barrier.service_stopped(self.number);
        self.mailbox.report_end(std::thread::panicking());
    }
}
