//! Workers as they run. Two of a stack, each on its thread over a link in memory, with a peer whose answers all come
//! in on the first one's queue; and one over a link from which frames are slow to take.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use crossbeam::queue::ArrayQueue;

use super::barrier::WorkerBarrier;
use super::clock::Clock;
use super::control::{Shutdown, Waker};
use super::handover::HandoverQueues;
use super::idle::IdlePolicy;
use super::worker::{Command, EndMark, Mailbox, Worker};
use crate::limits::Limits;
use crate::link::memory::{self, MemoryLink};
use crate::link::{Accounting, Frame, Link, Statistics};
use crate::metrics::Latencies;
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

/// Stops as soon as it may.
struct Brief;

impl Service for Brief {
    fn on_start(&mut self, io: &mut dyn Io) {
        io.stop();
    }
}

/// Opens one connection, closes it, and stops when it is over.
struct Caller(Sender<CloseReason>);

impl Service for Caller {
    fn on_start(&mut self, io: &mut dyn Io) {
        let remote = SocketAddr::new(address(2).0, PORT);
        io.connect(&ConnectOptions { remote, local: None, user: 0 }).expect("a way to the peer");
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        io.close(conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, _: ConnId, _: u64, ending: CloseReason) {
        let _ = self.0.send(ending);
        io.stop();
    }
}

/// The peer's end: closes what it accepts.
struct Closer;

impl Service for Closer {
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, _: ListenerId) {
        io.close(conn);
    }
}

/// A stack of two workers, not yet started.
struct Pair {
    workers: Vec<Worker>,
    far: Vec<MemoryLink>,
    ended: Receiver<CloseReason>,
}

/// The first worker's service stops at once; the second one's opens a connection.
fn pair(claiming: Option<DadConfig>) -> Pair {
    let wakers: Vec<_> = (0..2).map(|_| Arc::new(Waker::new().expect("an eventfd"))).collect();
    let barrier = Arc::new(WorkerBarrier::new(wakers.clone()));
    let post = Arc::new(HandoverQueues::new(wakers.clone(), 2048));
    let (tell, ended) = channel();
    let services: [Box<dyn Service + Send>; 2] = [Box::new(Brief), Box::new(Caller(tell))];
    let (near, far): (Vec<_>, Vec<_>) =
        (0..2).map(|_| memory::pair(memory::Config::default())).unzip();
    let seats = near.into_iter().zip(services).zip(wakers).enumerate();
    let workers = seats.map(|(number, ((link, service), waker))| {
        let config =
            Config { dad: claiming, worker: number as u16, workers: 2, ..config(STACK, 1) };
        let shared = (Arc::clone(&post), Arc::clone(&barrier));
        worker(config, Box::new(link), service, waker, shared)
    });
    Pair { workers: workers.collect(), far, ended }
}

/// A worker that is not yet started.
fn worker(
    config: Config,
    link: Box<dyn Link + Send>,
    service: Box<dyn Service + Send>,
    waker: Arc<Waker>,
    (post, barrier): (Arc<HandoverQueues>, Arc<WorkerBarrier>),
) -> Worker {
    Worker {
        number: config.worker.into(),
        shard: Shard::new(config),
        link,
        service,
        mailbox: Arc::new(Mailbox::new(waker)),
        post,
        barrier,
        mirror: None,
        idle: IdlePolicy::Sleep,
        turns: Latencies::default(),
        waits: None,
        share: None,
        resigned: false,
    }
}

fn launch(worker: Worker) -> JoinHandle<Worker> {
    let (mailbox, barrier) = (Arc::clone(&worker.mailbox), Arc::clone(&worker.barrier));
    let mark = EndMark { number: worker.number, mailbox, barrier };
    thread::spawn(move || {
        let _mark = mark;
        worker.run()
    })
}

/// The peer, and the switch between: what any worker sends goes to the peer, what the peer sends to the first
/// worker's queue.
struct Peer {
    shard: Shard,
    near: MemoryLink,
    far: MemoryLink,
    clock: Clock,
    /// Questions for the peer's hardware address.
    questions: usize,
}

impl Peer {
    fn new() -> Self {
        let mut shard = Shard::new(config(PEER, 2));
        shard.listen(ListenerConfig::on_port(PORT)).expect("a free port");
        let (near, far) = memory::pair(memory::Config::default());
        let mut peer = Self { shard, near, far, clock: Clock::new(), questions: 0 };
        peer.on_shard(|shard, around, now| shard.start(now, around));
        peer
    }

    fn on_shard<T>(&mut self, f: impl FnOnce(&mut Shard, &mut TurnEnv<'_>, Instant) -> T) -> T {
        let around = &mut TurnEnv {
            link: &mut self.near,
            service: &mut Closer,
            handover: &mut SingleWorker,
        };
        f(&mut self.shard, around, self.clock.now())
    }

    fn carry(
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
        let questions = &mut self.questions;
        for queue in queues.iter_mut() {
            Self::carry(queue, &mut self.far, &self.clock, |frame| {
                *questions +=
                    usize::from(frame[12..14] == [8, 6] && frame[38..42] == ours.octets());
            });
        }
        self.on_shard(|shard, around, now| shard.turn(now, around));
        Self::carry(&mut self.far, &mut queues[0], &self.clock, |_| {});
    }

    /// Until the connection of the second worker is over: how it ended.
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
fn a_worker_whose_service_has_stopped_goes_on_for_the_others() {
    let Pair { workers, far, ended } = pair(None);
    let threads: Vec<_> = workers.into_iter().map(launch).collect();
    let ending = Peer::new().serve(&mut (far, ended));
    assert_eq!(ending, Some(CloseReason::Finished));
    // None waits for more: all services have stopped.
    for thread in threads {
        thread.join().expect("it did not panic");
    }
}

#[test]
fn no_service_begins_before_all_workers_take_what_comes_for_its_addresses() {
    let Pair { workers, mut far, ended } = pair(Some(DadConfig::QUICK));
    let mut peer = Peer::new();
    let mut workers = workers.into_iter();
    let late = workers.next().expect("there are two");
    let early = launch(workers.next().expect("there are two"));
    // Long enough for the claim of the second to be over before that of the first begins.
    for _ in 0..100 {
        peer.turn(&mut far);
        thread::sleep(std::time::Duration::from_millis(4));
    }
    assert_eq!(peer.questions, 0, "an answer would have come in where it is refused");
    let late = launch(late);
    let ending = peer.serve(&mut (far, ended));
    assert_eq!((ending, peer.questions), (Some(CloseReason::Finished), 1));
    for thread in [early, late] {
        thread.join().expect("it did not panic");
    }
}

#[test]
fn a_worker_that_has_ended_is_not_waited_for() {
    let Pair { workers, far, ended } = pair(Some(DadConfig::QUICK));
    let mut workers = workers.into_iter();
    let gone = workers.next().expect("there are two");
    drop(EndMark {
        number: 0,
        mailbox: Arc::clone(&gone.mailbox),
        barrier: Arc::clone(&gone.barrier),
    });
    let left = launch(workers.next().expect("there are two"));
    // Nobody takes the answers, so that it ends without one.
    assert_eq!(Peer::new().serve(&mut (far, ended)), Some(CloseReason::Unreachable));
    left.join().expect("it did not panic");
}

/// A link from which frames are taken while another program has the core, and what it sees of time.
struct Slow {
    link: MemoryLink,
    clock: Clock,
    /// When frames were last taken, and the time that the worker told when it flushed after that.
    seen: Arc<ArrayQueue<(Instant, Instant)>>,
    taken_at: Option<Instant>,
}

impl Link for Slow {
    fn receive(&mut self, now: Instant, max: usize, frames: &mut Vec<Frame>) -> usize {
        thread::sleep(std::time::Duration::from_millis(2));
        let count = self.link.receive(now, max, frames);
        self.taken_at = Some(self.clock.now());
        count
    }
    fn flush(&mut self, now: Instant) {
        self.link.flush(now);
        if let Some(taken_at) = self.taken_at {
            self.seen.force_push((taken_at, now));
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
fn what_a_turn_takes_for_now_is_after_its_frames_were_taken() {
    // Before it, and an answer that came while another program had the core came sooner than the path
    // allows.
    let seen = Arc::new(ArrayQueue::new(16));
    let (link, _peer) = memory::pair(memory::Config::default());
    let slow = Slow { link, clock: Clock::new(), seen: Arc::clone(&seen), taken_at: None };
    let waker = Arc::new(Waker::new().expect("an eventfd"));
    let wakers = || vec![Arc::clone(&waker)];
    let shared =
        (Arc::new(HandoverQueues::new(wakers(), 2048)), Arc::new(WorkerBarrier::new(wakers())));
    let worker =
        worker(config(STACK, 1), Box::new(slow), Box::new(Closer), Arc::clone(&waker), shared);
    worker.mailbox.ask(Command::Stop(Shutdown::Close { grace: Duration::ZERO }));
    let _ = worker.run();
    let mut turns = 0;
    while let Some((taken_at, told)) = seen.pop() {
        assert!(told >= taken_at, "{:?} too early", taken_at.since(told));
        turns += 1;
    }
    assert!(turns > 0);
}
