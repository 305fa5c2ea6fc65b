//! A running stack: opens, attaches, starts; stops, detaches, closes. Whatever fails on the way undoes what
//! was done, since every part cleans up when dropped.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::barrier::WorkerBarrier;
use super::config::StackConfig;
use super::control::{Shutdown, Waker};
use super::error::StartError;
use super::handover::HandoverQueues;
use super::mirror::{Change, Mirror};
use super::setup::Plan;
use super::steering::{OffloadGuard, RssGuard};
use super::waits::Waits;
use super::watch::{News, Watch};
use super::worker::{Command, EndMark, Mailbox, Worker};
use crate::link::Statistics;
use crate::link::xsk::Bound;
use crate::metrics::{Counters, Latencies};
use crate::shard::{Memory, Service};
use crate::time::Duration;
use crate::wire::ndp;
use crate::xdp::{Attachment, Program};

/// One worker's figures.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Its queue.
    pub queue: u32,
    /// What its shard counted.
    pub counters: Counters,
    /// What its link counted.
    pub link: Statistics,
    /// The memory of its buffers.
    pub memory: Memory,
    /// Its connections.
    pub connections: usize,
    /// Its connections in TIME-WAIT.
    pub time_waits: usize,
    /// How long its turns took that found something to do: what a frame waits at most before it is answered.
    pub turns: Latencies,
    /// How long handshakes took, from our SYN or SYN-ACK to its answer.
    pub handshakes: Latencies,
    /// How long frames waited for the turn that took them up, since they came in
    /// ([`StackConfig::rx_timestamps`]).
    pub waits: Latencies,
}

/// What a stack has done, at one time or at its end.
#[derive(Clone, Debug)]
pub struct Report {
    /// Worker by worker.
    pub workers: Vec<WorkerReport>,
}

impl Report {
    /// All workers' counters together.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.workers.iter().for_each(|w| sum.merge(&w.counters));
        sum
    }

    /// Connections of all workers.
    pub fn connections(&self) -> usize {
        self.workers.iter().map(|w| w.connections).sum()
    }
}

/// How often it is looked whether the claims have ended.
const LOOK_MS: u64 = 5;

/// How long routers are waited for, with time to spare.
const ROUTERS_WAIT: Duration = Duration::from_secs(6);

struct WorkerHandle {
    queue: u32,
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<Worker>>,
}

/// A stack on an interface, with its workers running. Dropping it resets all connections.
pub struct Stack {
    // In the order in which they must go: the mirror, then the program, then the workers' sockets.
    mirror: Option<Mirror>,
    program: Program,
    borrowed: Option<RssGuard>,
    _offload_guard: Option<OffloadGuard>,
    handles: Vec<WorkerHandle>,
    bound: Vec<Bound>,
    notes: Vec<String>,
    watch: Watch,
    interface_gone: Arc<AtomicBool>,
    /// Keeps the groups of our addresses joined.
    groups: Option<UdpSocket>,
}

impl Stack {
    /// Starts a stack; `service` makes the program of each worker (given its number).
    ///
    /// # Errors
    /// [`StartError`]; nothing is left attached then.
    pub fn start(
        config: &StackConfig,
        mut service: impl FnMut(usize) -> Box<dyn Service + Send>,
    ) -> Result<Self, StartError> {
        let mut plan = Plan::make(config)?;
        let mut notes = Vec::new();
        // Before the program: with LRO on, drivers refuse it.
        let offload_guard = plan.disable_offloads(&mut notes);
        let (mut program, fallbacks) = plan.attach_program()?;
        notes.extend(fallbacks);
        let stamped = program.attachment().is_some_and(|attachment| attachment.hints.stamp);
        let borrowed = plan.settle_queues(&mut notes);
        let opened = plan.open_links(&mut program)?;
        notes.extend(opened.notes);
        notes.extend(plan.notes_on_cores());
        let bound = opened.bound;
        let watch = plan.watch(opened.mtu_max);
        let wakers: Vec<_> = (0..opened.links.len())
            .map(|_| Waker::new().map(Arc::new))
            .collect::<Result<_, _>>()
            .map_err(StartError::system("making an eventfd"))?;
        let mailboxes: Vec<_> =
            wakers.iter().map(|w| Arc::new(Mailbox::new(Arc::clone(w)))).collect();
        let barrier = Arc::new(WorkerBarrier::new(wakers.clone()));
        let post = Arc::new(HandoverQueues::new(wakers, plan.frame_max()));
        let interface_gone = Arc::new(AtomicBool::new(false));
        let mirror = start_mirror(plan.index(), &mailboxes, Arc::clone(&interface_gone))?;
        let budget = plan.budget();
        let mut workers = Vec::new();
        for (number, link) in opened.links.into_iter().enumerate() {
            let _visit = plan.visit(number);
            workers.push(Worker {
                number,
                shard: plan.shard(number, opened.mtu)?,
                link,
                service: service(number),
                mailbox: Arc::clone(&mailboxes[number]),
                post: Arc::clone(&post),
                barrier: Arc::clone(&barrier),
                mirror: plan.mirror_wanted().then(|| mirror.shared()),
                idle: config.idle,
                turns: Latencies::default(),
                waits: stamped.then(Waits::default),
                share: plan.share(budget.as_ref()),
                resigned: false,
            });
        }
        let groups = plan.join_groups(&mut notes);
        plan.claim(&mut program)?;
        let handles = launch(workers, config)?;
        let mut stack = Self {
            mirror: Some(mirror),
            program,
            borrowed,
            _offload_guard: offload_guard,
            handles,
            bound,
            notes,
            watch,
            interface_gone,
            groups,
        };
        stack.await_services(config)?;
        Ok(stack)
    }

    /// Does what the workers cannot do themselves, about addresses that they make or that others contest; to be
    /// called a few times a second while the stack runs. Gives what a user should know of it.
    pub fn tend(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        let Some(mailbox) = self.handles.first().map(|handle| Arc::clone(&handle.mailbox)) else {
            return notes;
        };
        while let Some(address) = mailbox.adopted.pop() {
            match self.program.claim_address(address) {
                Ok(()) => notes.push(format!("{address} is claimed, made by autoconfiguration")),
                Err(error) => notes.push(error.to_string()),
            }
            self.join_group(address);
        }
        while let Some((address, mac)) = mailbox.contested.pop() {
            notes.push(format!("{mac} uses {address} too: one of the two should give it up"));
        }
        notes
    }

    /// See [`Plan::join_groups`].
    fn join_group(&self, address: IpAddr) {
        let index = self.program.attachment().map(|attachment| attachment.index);
        if let (IpAddr::V6(address), Some(socket), Some(index)) = (address, &self.groups, index) {
            // Without it a NIC may filter the group: the address then is not found, which the user sees.
            let _ = socket.join_multicast_v6(&ndp::solicited_node(address), index);
        }
    }

    /// Waits until the addresses are known to be ours and all services have begun: for as long as a claim takes,
    /// which is long for who waits and short for the network.
    fn await_services(&mut self, config: &StackConfig) -> Result<(), StartError> {
        let claiming = config.dad.map_or(Duration::ZERO, |claiming| claiming.longest());
        let has_begun = |mailbox: &Mailbox| {
            mailbox.begun.load(Ordering::Acquire) || mailbox.ended.load(Ordering::SeqCst)
        };
        // A worker that ends meanwhile, or hangs, does not keep the caller. An address of what a router says is
        // claimed after the link-local one.
        let routers = if config.autoconf { ROUTERS_WAIT + claiming } else { Duration::ZERO };
        let looks = (claiming + routers + Duration::from_secs(1)).as_millis() / LOOK_MS;
        for _ in 0..looks {
            let told = self.tend();
            self.notes.extend(told);
            if self.mailboxes().all(has_begun) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(LOOK_MS));
        }
        match self.mailboxes().next().and_then(|first| first.refused.pop()) {
            Some((address, mac)) => {
                Err(StartError::AddressConflict { address, mac: mac.to_string() })
            }
            None => Ok(()),
        }
    }

    /// How the program is attached.
    pub fn attachment(&self) -> Option<&Attachment> {
        self.program.attachment()
    }

    /// How the socket of each worker was really bound.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// What a user should know: fallbacks that were taken, and why.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Looks whether the interface has changed (queues, RSS, MTU, carrier), has the workers heed it, and tells what a
    /// user should know. To be called once in a while, about every second.
    pub fn look(&mut self) -> Vec<String> {
        let counters = self.report().counters();
        let News { notes, commands } = self.watch.look(&counters);
        for command in commands {
            self.handles.iter().for_each(|handle| handle.mailbox.ask(command.clone()));
        }
        notes
    }

    /// Whether a worker still runs; workers end when their service stops them.
    pub fn is_running(&self) -> bool {
        self.handles.iter().any(|handle| !handle.mailbox.ended.load(Ordering::SeqCst))
    }

    /// Whether the interface was removed: nothing will arrive any more.
    pub fn interface_is_gone(&self) -> bool {
        self.interface_gone.load(Ordering::SeqCst)
    }

    /// What has been done so far.
    pub fn report(&self) -> Report {
        let workers = self.handles.iter().map(|handle| {
            let told = handle.mailbox.published.load();
            WorkerReport {
                queue: handle.queue,
                counters: told.counters,
                link: told.link,
                memory: told.memory,
                connections: told.connections,
                time_waits: told.time_waits,
                turns: told.turns,
                handshakes: told.handshakes,
                waits: told.waits,
            }
        });
        Report { workers: workers.collect() }
    }

    /// Stops: connections end as `drain` says, the program is detached, the sockets are closed. Gives
    /// the services back, worker by worker (a worker that panicked gives none).
    pub fn stop(mut self, drain: Shutdown) -> (Report, Vec<Box<dyn Service + Send>>) {
        for handle in &self.handles {
            handle.mailbox.ask(Command::Stop(drain));
        }
        let workers = self.join();
        let report = self.report();
        self.mirror = None;
        self.program.detach();
        // After the program, with which queues of the driver's own may have gone.
        self.borrowed = None;
        (report, workers.into_iter().map(|worker| worker.service).collect())
    }

    /// The workers' mailboxes, in order.
    pub(super) fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.handles.iter().map(|handle| &*handle.mailbox)
    }

    fn join(&mut self) -> Vec<Worker> {
        let threads = self.handles.iter_mut().filter_map(|handle| handle.thread.take());
        threads.filter_map(|thread| thread.join().ok()).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        for handle in self.handles.iter().filter(|handle| handle.thread.is_some()) {
            handle.mailbox.ask(Command::Stop(Shutdown::Abort));
        }
        let workers = self.join();
        // The program goes before the sockets: a frame redirected to a socket that is gone is lost.
        self.program.detach();
        self.borrowed = None;
        drop(workers);
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("workers", &self.handles.len()).finish_non_exhaustive()
    }
}

fn start_mirror(
    interface: u32,
    mailboxes: &[Arc<Mailbox>],
    gone: Arc<AtomicBool>,
) -> Result<Mirror, StartError> {
    let mailboxes = mailboxes.to_vec();
    let tell = move |change: Change| {
        if change == Change::Gone {
            gone.store(true, Ordering::SeqCst);
        }
        for mailbox in &mailboxes {
            mailbox.ask(Command::Mirror(change));
        }
    };
    Mirror::start(interface, tell).map_err(StartError::system("mirroring the kernel's routes"))
}

/// Starts the threads and waits until every worker turns.
fn launch(workers: Vec<Worker>, config: &StackConfig) -> Result<Vec<WorkerHandle>, StartError> {
    let mut handles = Vec::new();
    for worker in workers {
        let queue = config.queues.as_slice()[worker.number];
        let core = config.cores.get(worker.number).copied();
        let mailbox = Arc::clone(&worker.mailbox);
        let barrier = Arc::clone(&worker.barrier);
        let mark = EndMark { number: worker.number, mailbox: Arc::clone(&mailbox), barrier };
        let thread = std::thread::Builder::new()
            .name(format!("linerate-{}", worker.number))
            .spawn(move || {
                let _mark = mark;
                if let Some(id) = core {
                    // A core that is not there leaves the thread where it is; `setup` has refused it.
                    core_affinity::set_for_current(core_affinity::CoreId { id });
                }
                worker.run()
            })
            .map_err(StartError::system("starting a worker's thread"))?;
        handles.push(WorkerHandle { queue, mailbox, thread: Some(thread) });
    }
    Ok(handles)
}
