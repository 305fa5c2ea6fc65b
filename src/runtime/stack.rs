//! A running stack: opens, attaches, starts; stops, detaches, closes. Every part cleans up when
//! dropped, so that a start that fails halfway leaves nothing behind.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::barrier::WorkerBarrier;
use super::census::Silent;
use super::command::{Command, Shutdown};
use super::config::StackConfig;
#[cfg(feature = "control")]
use super::control::{ControlError, ControlServer, ControlSocket};
use super::error::StartError;
use super::events::{EventSender, StackEvents, channel};
use super::handover::HandoverQueues;
use super::housekeeping::{Housekeeping, HousekeepingThread, PROBE_EVERY};
use super::links::{self, Interface};
use super::mailbox::Mailbox;
use super::mirror::{Change, Mirror};
use super::observer::Observer;
use super::opened::Hold;
use super::report::Report;
use super::setup::Plan;
use super::waits::Waits;
use super::waker::Waker;
use super::watch::Watch;
use super::worker::{EndMark, MakeService, Seed};
use crate::link::Link;
use crate::shard::{ConnInfo, Service, ServiceWaker, Shard};
use crate::time::Duration;
use crate::xdp;

/// Interval at which [`Stack::start`] checks whether the services have started, ms.
const START_POLL_MS: u64 = 5;

/// The longest time that [`Stack::start`] waits for a router advertisement: workers wait for five
/// seconds, and one is to spare.
const ROUTERS_WAIT: Duration = Duration::from_secs(6);

struct WorkerHandle {
    mailbox: Arc<Mailbox>,
    service_waker: ServiceWaker,
    thread: Option<JoinHandle<Box<dyn Link + Send>>>,
}

/// A stack on an interface, with its workers running.
///
/// It keeps itself in order: a thread of its own (`linerate-watch`) follows changes of the
/// interface and of the addresses. Reading [`events`](Self::events) is optional. Dropping a stack
/// resets all connections.
pub struct Stack {
    // In the order in which they are torn down: housekeeping, control sockets, the mirror, the
    // program, the workers' sockets.
    housekeeping: Option<HousekeepingThread>,
    #[cfg(feature = "control")]
    control: Vec<ControlServer>,
    mirror: Option<Mirror>,
    pub(super) hold: Hold,
    handles: Vec<WorkerHandle>,
    notes: Vec<String>,
    events: StackEvents,
    interface_removed: Arc<AtomicBool>,
    observer: Observer,
}

impl Stack {
    /// Starts a stack and waits until its addresses are known to be free and its services have
    /// started. Each worker calls `service` with its number, on its own thread, and drops the
    /// result there: a service may hold what is not `Send`.
    ///
    /// # Errors
    /// [`StartError`]; nothing stays attached then.
    pub fn start(
        config: &StackConfig,
        service: impl Fn(usize) -> Box<dyn Service> + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let service: MakeService = Arc::new(service);
        let interface = Interface::find(config)?;
        let plan = Plan::make(config)?;
        let mut opened = interface.open(&plan)?;
        opened.notes.extend(plan.core_problems());
        let housekeeping_waker = new_waker()?;
        let wakers: Vec<_> =
            (0..opened.links.len()).map(|_| new_waker()).collect::<Result<_, _>>()?;
        let mailboxes = new_mailboxes(&wakers, &housekeeping_waker);
        let barrier = Arc::new(WorkerBarrier::new(wakers.clone()));
        let handover = Arc::new(HandoverQueues::new(wakers, opened.frame_max()));
        let interface_removed = Arc::new(AtomicBool::new(false));
        let removal = (Arc::clone(&interface_removed), Arc::clone(&housekeeping_waker));
        let mirror = start_mirror(opened.probe.index, &mailboxes, removal)?;
        let budget = plan.budget();
        let mut workers = Vec::new();
        for (number, link) in std::mem::take(&mut opened.links).into_iter().enumerate() {
            let _core = plan.move_to_core_of(number);
            workers.push(Seed {
                number,
                shard: wakeable(plan.shard(number, &opened)?, &mailboxes[number]),
                link,
                service: Arc::clone(&service),
                mailbox: Arc::clone(&mailboxes[number]),
                handover: Arc::clone(&handover),
                barrier: Arc::clone(&barrier),
                resolver: plan.mirror_wanted().then(|| mirror.resolver()),
                idle: config.idle,
                waits: opened.stamped.then(Waits::default),
                share: plan.share(budget.as_ref()),
            });
        }
        links::claim(&plan, &mut opened)?;
        let watch = opened.watch(config.queues.as_slice());
        let (events_in, events) = channel();
        let mut stack = Self {
            housekeeping: None,
            #[cfg(feature = "control")]
            control: Vec::new(),
            mirror: Some(mirror),
            hold: opened.hold,
            handles: Vec::new(),
            notes: opened.notes,
            events,
            interface_removed,
            observer: Observer::new(&config.interface, config.queues.as_slice(), &mailboxes),
        };
        stack.launch(workers, config)?;
        stack.start_housekeeping(watch, events_in, housekeeping_waker)?;
        stack.await_services(config)?;
        Ok(stack)
    }

    /// Starts the threads of the workers.
    fn launch(&mut self, workers: Vec<Seed>, config: &StackConfig) -> Result<(), StartError> {
        for worker in workers {
            let core = config.cores.get(worker.number).copied();
            let mailbox = Arc::clone(&worker.mailbox);
            let barrier = Arc::clone(&worker.barrier);
            let service_waker = worker.shard.waker().clone();
            let mark = EndMark { number: worker.number, mailbox: Arc::clone(&mailbox), barrier };
            let thread = std::thread::Builder::new()
                .name(format!("linerate-{}", worker.number))
                .spawn(move || {
                    let _mark = mark;
                    if let Some(id) = core {
                        // On a core that does not exist this has no effect; `setup` has refused
                        // those.
                        core_affinity::set_for_current(core_affinity::CoreId { id });
                    }
                    worker.grow().run()
                })
                .map_err(StartError::system("starting a worker's thread"))?;
            let thread = Some(thread);
            self.handles.push(WorkerHandle { mailbox, service_waker, thread });
        }
        Ok(())
    }

    fn start_housekeeping(
        &mut self,
        watch: Watch,
        events: EventSender,
        waker: Arc<Waker>,
    ) -> Result<(), StartError> {
        let interface = watch.interface().to_owned();
        let probed = interface.clone();
        let work = Housekeeping {
            interface,
            mailboxes: self.handles.iter().map(|handle| Arc::clone(&handle.mailbox)).collect(),
            watch,
            probe: Box::new(move || xdp::probe(&probed).ok()),
            claim: self.hold.apply_claims(),
            interface_removed: Arc::clone(&self.interface_removed),
            events,
            probe_every: PROBE_EVERY,
        };
        let thread = HousekeepingThread::start(work, waker)
            .map_err(StartError::system("starting the housekeeping thread"))?;
        self.housekeeping = Some(thread);
        Ok(())
    }

    /// Waits for duplicate address detection, for the routers where addresses come from them, and
    /// for the start of all services.
    fn await_services(&self, config: &StackConfig) -> Result<(), StartError> {
        let detection = config.dad.map_or(Duration::ZERO, |dad| dad.longest());
        let is_up = |mailbox: &Mailbox| {
            mailbox.started.load(Ordering::Acquire) || mailbox.ended.load(Ordering::SeqCst)
        };
        // The address of a router's prefix is tested after the link-local one.
        let routers = if config.autoconf { ROUTERS_WAIT + detection } else { Duration::ZERO };
        // A worker that hangs does not keep the caller for longer than that.
        let polls = (detection + routers + Duration::from_secs(1)).as_millis() / START_POLL_MS;
        for _ in 0..polls {
            if self.mailboxes().all(is_up) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(START_POLL_MS));
        }
        match self.mailboxes().next().and_then(|first| first.refused_addresses.pop()) {
            Some((address, mac)) => {
                Err(StartError::AddressConflict { address, mac: mac.to_string() })
            }
            None => Ok(()),
        }
    }

    /// Returns what a user should know about the start: fallbacks, and problems with their
    /// remedies.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the channel on which events of the running stack arrive. All receivers share one
    /// queue: each event goes to one of them.
    pub fn events(&self) -> StackEvents {
        self.events.clone()
    }

    /// Returns true while a worker runs. Workers end when their service stops them.
    pub fn is_running(&self) -> bool {
        self.handles.iter().any(|handle| !handle.mailbox.ended.load(Ordering::SeqCst))
    }

    /// Returns true once the interface was removed: no packets arrive any more.
    pub fn interface_is_gone(&self) -> bool {
        self.interface_removed.load(Ordering::SeqCst)
    }

    /// Returns what reads counters and connections from any thread.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Returns the counters of all workers, at most 50 ms old.
    pub fn report(&self) -> Report {
        self.observer.report()
    }

    /// Calls `each` for every connection ([`Observer::connections`]).
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn connections(
        &self,
        each: impl FnMut(usize, &ConnInfo) -> ControlFlow<()>,
    ) -> Result<(), Silent> {
        self.observer.connections(each)
    }

    /// Answers the requests of a control socket on threads of its own until the stack has stopped,
    /// so that `linerate top` and `linerate connections` can watch this program. See
    /// [`control`](super::control) for an example.
    ///
    /// # Errors
    /// When the system refuses another thread. The stack is not affected.
    #[cfg(feature = "control")]
    pub fn serve_control(&mut self, socket: ControlSocket) -> Result<(), ControlError> {
        self.control.push(ControlServer::start(socket, self.observer())?);
        Ok(())
    }

    /// Returns the number of workers.
    pub const fn workers(&self) -> usize {
        self.handles.len()
    }

    /// Returns what wakes the service of a worker from another thread, given the worker's number;
    /// `None` if there is no such worker.
    pub fn waker(&self, worker: usize) -> Option<ServiceWaker> {
        self.handles.get(worker).map(|handle| handle.service_waker.clone())
    }

    /// Begins to drain: the listeners close, the services finish what is under way
    /// ([`Service::on_drain`]), and a worker ends once its connections are closed. Those left after
    /// `grace` are reset. Returns at once; [`is_running`](Self::is_running) turns false when all
    /// workers have ended, and [`stop`](Self::stop) then frees the rest.
    pub fn drain(&self, grace: Duration) {
        for mailbox in self.mailboxes() {
            mailbox.send(Command::Drain(grace));
        }
    }

    /// Stops: ends the connections as `shutdown` says, drops the services, detaches the program,
    /// closes the sockets. Returns the last counters.
    pub fn stop(mut self, shutdown: Shutdown) -> Report {
        let links = self.tear_down(shutdown);
        let report = self.report();
        drop(links);
        report
    }

    /// Returns the workers' mailboxes, in order.
    pub(super) fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        self.handles.iter().map(|handle| &*handle.mailbox)
    }

    /// Ends all threads and detaches the program. The sockets live in the returned links.
    fn tear_down(&mut self, shutdown: Shutdown) -> Vec<Box<dyn Link + Send>> {
        self.housekeeping = None;
        for handle in self.handles.iter().filter(|handle| handle.thread.is_some()) {
            handle.mailbox.send(Command::Stop(shutdown));
        }
        let threads = self.handles.iter_mut().filter_map(|handle| handle.thread.take());
        let links = threads.filter_map(|thread| thread.join().ok()).collect();
        // After the workers: clients may watch them close their connections.
        #[cfg(feature = "control")]
        self.control.clear();
        self.mirror = None;
        self.hold.release();
        links
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.tear_down(Shutdown::Abort));
    }
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("workers", &self.handles.len()).finish_non_exhaustive()
    }
}

/// Gives a shard the waker that ends its worker's sleep.
fn wakeable(mut shard: Shard, mailbox: &Mailbox) -> Shard {
    let waker = Arc::clone(&mailbox.waker);
    shard.set_waker(ServiceWaker::new(move || waker.wake()));
    shard
}

fn new_waker() -> Result<Arc<Waker>, StartError> {
    Waker::new().map(Arc::new).map_err(StartError::system("creating an eventfd"))
}

fn new_mailboxes(wakers: &[Arc<Waker>], housekeeping: &Arc<Waker>) -> Vec<Arc<Mailbox>> {
    let of = |waker| Arc::new(Mailbox::new(Arc::clone(waker), Arc::clone(housekeeping)));
    wakers.iter().map(of).collect()
}

/// Starts the mirror, which passes every change on to all workers. `removal` is the flag to set
/// when the interface is removed, and what to wake then.
fn start_mirror(
    interface: u32,
    mailboxes: &[Arc<Mailbox>],
    (removed, housekeeping): (Arc<AtomicBool>, Arc<Waker>),
) -> Result<Mirror, StartError> {
    let mailboxes = mailboxes.to_vec();
    let on_change = move |change: Change| {
        if change == Change::Removed {
            removed.store(true, Ordering::SeqCst);
            housekeeping.wake();
        }
        for mailbox in &mailboxes {
            mailbox.send(Command::Mirror(change));
        }
    };
    Mirror::start(interface, on_change).map_err(StartError::system("mirroring the kernel's routes"))
}
