//! Workers on threads, over links in memory: two workers of a stack with a peer whose answers all
//! arrive on the queue of the first one; a worker with a slow link; a worker whose service panics.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crossbeam::queue::ArrayQueue;

use super::barrier::WorkerBarrier;
use super::clock::Clock;
use super::command::{Command, Shutdown};
use super::events::{self, StackEvent};
use super::handover::HandoverQueues;
use super::housekeeping::{Housekeeping, HousekeepingThread};
use super::idle::IdlePolicy;
use super::mailbox::Mailbox;
use super::waker::Waker;
use super::watch::Watch;
use super::watch::tests::probe;
use super::worker::{EndMark, Seed};
use crate::limits::Limits;
use crate::link::memory::{self, MemoryLink};
use crate::link::{Accounting, Frame, Link, Statistics};
use crate::shard::{
    CloseReason, Config, ConnId, ConnectOptions, DadConfig, Io, ListenerConfig, ListenerId,
    Service, Shard, SingleWorker, TurnEnv,
};
use crate::time::{Duration, Instant};
use crate::wire::MacAddr;

const STACK: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const PORT: u16 = 9;

fn address(host: u8) -> (IpAddr, u8) {
    (IpAddr::from([192, 0, 2, host]), 24)
}

fn config(mac: MacAddr, host: u8) -> Config {
    let limits = Limits {
        connections: 64,
        embryos: 64,
        time_waits: 64,
        buffer_bytes: 8 << 20,
        neighbours: 16,
        ..Limits::default()
    };
    Config { limits, ..Config::new(mac, vec![address(host)], [7; 32]) }
}

/// Stops at once.
struct StopsAtOnce;

impl Service for StopsAtOnce {
    fn on_start(&mut self, io: &mut dyn Io) {
        io.stop();
    }
}

/// Opens one connection, closes it, and stops when it is over.
struct Caller(Sender<CloseReason>);

impl Service for Caller {
    fn on_start(&mut self, io: &mut dyn Io) {
        let remote = SocketAddr::new(address(2).0, PORT);
        io.connect(&ConnectOptions { remote, local: None, user: 0 }).expect("a route to the peer");
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        io.close(conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        let _ = self.0.send(ending);
        io.stop();
    }
}

/// The service of the peer: closes the connections that it accepts.
struct Closer;

impl Service for Closer {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        io.close(conn);
    }
}

/// A stack of two workers that have not started.
struct Pair {
    workers: Vec<Seed>,
    far: Vec<MemoryLink>,
    ended: Receiver<CloseReason>,
}

/// Creates the pair: the service of the first worker stops at once, that of the second opens a
/// connection.
fn pair(dad: Option<DadConfig>) -> Pair {
    let wakers: Vec<_> = (0..2).map(|_| Arc::new(Waker::new().expect("an eventfd"))).collect();
    let barrier = Arc::new(WorkerBarrier::new(wakers.clone()));
    let handover = Arc::new(HandoverQueues::new(wakers.clone(), 2048));
    let (sender, ended) = channel();
    let services: [Box<dyn Service + Send>; 2] = [Box::new(StopsAtOnce), Box::new(Caller(sender))];
    let (near, far): (Vec<_>, Vec<_>) =
        (0..2).map(|_| memory::pair(memory::Config::default())).unzip();
    let parts = near.into_iter().zip(services).zip(wakers).enumerate();
    let workers = parts.map(|(number, ((link, service), waker))| {
        let config = Config { dad, worker: number as u16, workers: 2, ..config(STACK, 1) };
        let shared = (Arc::clone(&handover), Arc::clone(&barrier));
        worker(config, Box::new(link), service, waker, shared)
    });
    Pair { workers: workers.collect(), far, ended }
}

/// Creates a worker that has not started.
fn worker(
    config: Config,
    link: Box<dyn Link + Send>,
    service: Box<dyn Service + Send>,
    waker: Arc<Waker>,
    (handover, barrier): (Arc<HandoverQueues>, Arc<WorkerBarrier>),
) -> Seed {
    let service = Mutex::new(Some(service));
    Seed {
        number: config.worker.into(),
        shard: Shard::new(config),
        link,
        service: Arc::new(move |_| service.lock().expect("no panic").take().expect("one call")),
        mailbox: Arc::new(Mailbox::new(waker, Arc::new(Waker::new().expect("an eventfd")))),
        handover,
        barrier,
        resolver: None,
        idle: IdlePolicy::Sleep,
        waits: None,
        share: None,
    }
}

fn launch(worker: Seed) -> JoinHandle<Box<dyn Link + Send>> {
    let (mailbox, barrier) = (Arc::clone(&worker.mailbox), Arc::clone(&worker.barrier));
    let mark = EndMark { number: worker.number, mailbox, barrier };
    thread::spawn(move || {
        let _mark = mark;
        worker.grow().run()
    })
}

/// The peer and the switch: frames of all workers go to the peer, frames of the peer to the queue
/// of the first worker.
struct Peer {
    shard: Shard,
    near: MemoryLink,
    far: MemoryLink,
    clock: Clock,
    /// ARP requests for the peer's address.
    arp_requests: usize,
}

impl Peer {
    fn new() -> Self {
        let mut shard = Shard::new(config(PEER, 2));
        shard.listen(ListenerConfig::on_port(PORT)).expect("a free port");
        let (near, far) = memory::pair(memory::Config::default());
        let mut peer = Self { shard, near, far, clock: Clock::new(), arp_requests: 0 };
        peer.on_shard(|shard, env, now| shard.start(now, env));
        peer
    }

    fn on_shard<T>(&mut self, f: impl FnOnce(&mut Shard, &mut TurnEnv<'_>, Instant) -> T) -> T {
        let env = &mut TurnEnv {
            link: &mut self.near,
            service: &mut Closer,
            handover: &mut SingleWorker,
        };
        f(&mut self.shard, env, self.clock.now())
    }

    fn forward(
        from: &mut MemoryLink,
        to: &mut MemoryLink,
        clock: &Clock,
        mut see: impl FnMut(&[u8]),
    ) {
        let mut frames = Vec::new();
        from.receive(clock.now(), 64, &mut frames);
        for frame in frames {
            see(&frame);
            if let Some(mut copy) = to.reserve() {
                copy.fill(&frame);
                to.transmit(clock.now(), copy);
            }
            from.release(frame);
        }
        to.flush(clock.now());
        from.flush(clock.now());
    }

    fn turn(&mut self, queues: &mut [MemoryLink]) {
        let IpAddr::V4(ours) = address(2).0 else { unreachable!("it is IPv4") };
        let arp_requests = &mut self.arp_requests;
        for queue in queues.iter_mut() {
            Self::forward(queue, &mut self.far, &self.clock, |frame| {
                *arp_requests +=
                    usize::from(frame[12..14] == [8, 6] && frame[38..42] == ours.octets());
            });
        }
        self.on_shard(|shard, env, now| shard.turn(now, env));
        Self::forward(&mut self.far, &mut queues[0], &self.clock, |_| {});
    }

    /// Runs until the connection of the second worker is closed. Returns the reason.
    fn serve(
        &mut self,
        pair: &mut (Vec<MemoryLink>, Receiver<CloseReason>),
    ) -> Option<CloseReason> {
        let until = self.clock.now() + Duration::from_secs(20);
        while self.clock.now() < until {
            self.turn(&mut pair.0);
            if let Ok(ending) = pair.1.try_recv() {
                return Some(ending);
            }
            thread::sleep(std::time::Duration::from_micros(200));
        }
        None
    }
}

#[test]
fn a_worker_whose_service_has_stopped_runs_on_for_the_others() {
    let Pair { workers, far, ended } = pair(None);
    let threads: Vec<_> = workers.into_iter().map(launch).collect();
    let ending = Peer::new().serve(&mut (far, ended));
    assert_eq!(ending, Some(CloseReason::Finished));
    // Both end, since all services have stopped.
    for thread in threads {
        thread.join().expect("it did not panic");
    }
}

#[test]
fn no_service_starts_before_all_workers_accept_its_addresses() {
    let Pair { workers, mut far, ended } = pair(Some(DadConfig::QUICK));
    let mut peer = Peer::new();
    let mut workers = workers.into_iter();
    let late = workers.next().expect("two workers");
    let early = launch(workers.next().expect("two workers"));
    // Long enough for address detection of the second worker to end before that of the first
    // begins.
    for _ in 0..100 {
        peer.turn(&mut far);
        thread::sleep(std::time::Duration::from_millis(4));
    }
    assert_eq!(peer.arp_requests, 0, "the first worker would have dropped the answer");
    let late = launch(late);
    let ending = peer.serve(&mut (far, ended));
    assert_eq!((ending, peer.arp_requests), (Some(CloseReason::Finished), 1));
    for thread in [early, late] {
        thread.join().expect("it did not panic");
    }
}

#[test]
fn workers_do_not_wait_for_one_that_has_ended() {
    let Pair { workers, far, ended } = pair(Some(DadConfig::QUICK));
    let mut workers = workers.into_iter();
    let ended_worker = workers.next().expect("two workers");
    drop(EndMark {
        number: 0,
        mailbox: Arc::clone(&ended_worker.mailbox),
        barrier: Arc::clone(&ended_worker.barrier),
    });
    let remaining = launch(workers.next().expect("two workers"));
    // No worker reads the queue of the answers, so the open fails.
    assert_eq!(Peer::new().serve(&mut (far, ended)), Some(CloseReason::Unreachable));
    remaining.join().expect("it did not panic");
}

/// Panics as soon as it starts.
struct Panics;

impl Service for Panics {
    fn on_start(&mut self, _: &mut dyn Io) {
        panic!("a service that panics, as the test wants it");
    }
}

#[test]
fn a_worker_whose_service_panics_is_reported_by_housekeeping() {
    let housekeeping_waker = Arc::new(Waker::new().expect("an eventfd"));
    let waker = Arc::new(Waker::new().expect("an eventfd"));
    let wakers = || vec![Arc::clone(&waker)];
    let shared =
        (Arc::new(HandoverQueues::new(wakers(), 2048)), Arc::new(WorkerBarrier::new(wakers())));
    let (link, _peer) = memory::pair(memory::Config::default());
    let mut worker =
        worker(config(STACK, 1), Box::new(link), Box::new(Panics), Arc::clone(&waker), shared);
    worker.mailbox = Arc::new(Mailbox::new(waker, Arc::clone(&housekeeping_waker)));
    let (sender, events) = events::channel();
    let work = Housekeeping {
        interface: "eth7".into(),
        mailboxes: vec![Arc::clone(&worker.mailbox)],
        watch: Watch::new(probe(), &[0, 1], 1500),
        probe: Box::new(|| None),
        claim: Box::new(|_| Ok(())),
        interface_removed: Arc::default(),
        events: sender,
        probe_every: Duration::from_secs(3600),
    };
    let housekeeping = HousekeepingThread::start(work, housekeeping_waker).expect("a thread");
    assert!(launch(worker).join().is_err());
    let event = events.recv_timeout(std::time::Duration::from_secs(20));
    assert_eq!(event, Some(StackEvent::WorkerPanicked { worker: 0 }));
    drop(housekeeping);
}

/// A link whose `receive` takes as long as if another program had the core, and which records
/// times.
struct SlowLink {
    link: MemoryLink,
    clock: Clock,
    /// When frames were last received, and the time that the worker passed to the flush after that.
    times: Arc<ArrayQueue<(Instant, Instant)>>,
    received_at: Option<Instant>,
}

impl Link for SlowLink {
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        thread::sleep(std::time::Duration::from_millis(2));
        let count = self.link.receive(now, max, frames);
        self.received_at = Some(self.clock.now());
        count
    }
    fn flush(&mut self, now: Instant) {
        self.link.flush(now);
        if let Some(received_at) = self.received_at {
            self.times.force_push((received_at, now));
        }
    }
    fn reserve(&mut self) -> Option<Frame> {
        self.link.reserve()
    }
    fn transmit(&mut self, now: Instant, frame: Frame) {
        self.link.transmit(now, frame);
    }
    fn release(&mut self, frame: Frame) {
        self.link.release(frame);
    }
    fn frame_max(&self) -> usize {
        self.link.frame_max()
    }
    fn deadline(&self) -> Option<Instant> {
        self.link.deadline()
    }
    fn wait_fd(&self) -> Option<BorrowedFd<'_>> {
        self.link.wait_fd()
    }
    fn accounting(&self) -> Accounting {
        self.link.accounting()
    }
    fn statistics(&mut self) -> Statistics {
        self.link.statistics()
    }
}

#[test]
fn the_time_of_a_turn_is_read_after_its_frames_were_received() {
    // Otherwise a frame that arrived while another program had the core would seem to arrive sooner
    // than the path allows.
    let times = Arc::new(ArrayQueue::new(16));
    let (link, _peer) = memory::pair(memory::Config::default());
    let slow = SlowLink { link, clock: Clock::new(), times: Arc::clone(&times), received_at: None };
    let waker = Arc::new(Waker::new().expect("an eventfd"));
    let wakers = || vec![Arc::clone(&waker)];
    let shared =
        (Arc::new(HandoverQueues::new(wakers(), 2048)), Arc::new(WorkerBarrier::new(wakers())));
    let worker =
        worker(config(STACK, 1), Box::new(slow), Box::new(Closer), Arc::clone(&waker), shared);
    worker.mailbox.send(Command::Stop(Shutdown::Close { grace: Duration::ZERO }));
    let _ = worker.grow().run();
    let mut turns = 0;
    while let Some((received_at, flushed_at)) = times.pop() {
        assert!(flushed_at >= received_at, "{:?} too early", received_at.since(flushed_at));
        turns += 1;
    }
    assert!(turns > 0);
}
