//! The worker threads of the kernel engine and their event loop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use linerate::shard::{ConnId, Service};
use mio::{Events, Interest, Token};

use super::dispatch;
use super::listener::{self, Listener};
use super::worker::Worker;
use crate::failure::Failure;
use crate::job::{Job, MakeService, Report};
use crate::options::{Idle, StackOptions};
use crate::stop::Stop;

/// First token of a listener. Lower tokens are connections: no slab grows to 4 billion slots.
const LISTENER_TOKEN_MIN: usize = 0xffff_0000;

/// Maximum number of epoll events per turn.
const EVENTS_PER_TURN: usize = 256;

/// Longest sleep, which bounds the delay until a worker sees the stop flag.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// Runs a job on the kernel's sockets until all workers have ended.
///
/// # Errors
/// Fails if a port cannot be bound, or a worker cannot start.
pub(crate) fn run(job: &Job<'_>) -> Result<Report, Failure> {
    raise_descriptor_limit();
    let workers = job.options.workers();
    let engines =
        (0..workers).map(|number| Engine::new(number, job)).collect::<Result<Vec<_>, Failure>>()?;
    (job.ready)();
    let (cores, stop) = (cores(job.options, workers), job.stop);
    std::thread::scope(|scope| {
        let threads: Vec<_> = engines
            .into_iter()
            .zip(cores)
            .map(|(engine, core)| scope.spawn(move || engine.run(core, stop)))
            .collect();
        for thread in threads {
            thread.join().map_err(|_| {
                Failure::new("a worker failed", "it panicked, see above", "report this as a bug")
            })??;
        }
        Ok(Report::default())
    })
}

/// Raises the limit of open descriptors as far as possible: each connection needs one. Keeps the
/// current limit if that fails.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let system = std::fs::read_to_string("/proc/sys/fs/nr_open")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(hard);
        let max = hard.max(system);
        if setrlimit(Resource::RLIMIT_NOFILE, max, max).is_err() {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}

/// Returns the core of each worker; `None` leaves the choice to the scheduler.
fn cores(options: &StackOptions, workers: usize) -> Vec<Option<core_affinity::CoreId>> {
    match &options.cores {
        Some(list) => {
            list.0.iter().map(|id| Some(core_affinity::CoreId { id: *id as usize })).collect()
        }
        None => {
            let all = core_affinity::get_core_ids().unwrap_or_default();
            (0..workers).map(|worker| all.get(worker).copied()).collect()
        }
    }
}

/// One thread: its worker, listeners and service.
struct Engine {
    number: usize,
    worker: Worker,
    listeners: Vec<Listener>,
    make_service: MakeService,
    idle: Idle,
}

impl Engine {
    fn new(number: usize, job: &Job<'_>) -> Result<Self, Failure> {
        let action = "cannot start a worker on the kernel's sockets";
        let failed = |error: io::Error| Failure::new(action, error, "raise `ulimit -n`");
        let worker = Worker::new(number, job.options).map_err(failed)?;
        let mut listeners = listener::bind_all(job.options, job.listeners)?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            let token = Token(LISTENER_TOKEN_MIN + index);
            let registry = worker.poll.registry();
            registry.register(&mut listener.socket, token, Interest::READABLE).map_err(failed)?;
        }
        let make_service = Arc::clone(&job.make_service);
        Ok(Self { number, worker, listeners, make_service, idle: job.options.idle })
    }

    fn run(mut self, core: Option<core_affinity::CoreId>, stop: &Stop) -> Result<(), Failure> {
        if let Some(core) = core
            && !core_affinity::set_for_current(core)
        {
            return Err(Failure::usage(
                format!("cannot pin a worker to core {}", core.id),
                "the core does not exist, or this process may not use it",
                "give --cores that `taskset -cp $$` lists",
            ));
        }
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        self.worker.tick();
        let mut service = (self.make_service)(self.number);
        service.on_start(&mut self.worker);
        self.end_turn(&mut *service);
        while !self.worker.is_stopping && !stop.is_raised() {
            self.turn(&mut events, &mut *service)?;
        }
        Ok(())
    }

    fn end_turn(&mut self, service: &mut dyn Service) {
        dispatch::settle(&mut self.worker, service);
        service.on_turn_end(&mut self.worker);
        dispatch::settle(&mut self.worker, service);
    }

    fn turn(&mut self, events: &mut Events, service: &mut dyn Service) -> Result<(), Failure> {
        let timeout = self.timeout();
        match self.worker.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => {
                let remedy = "start it again; if it fails again, report this as a bug";
                return Err(Failure::new("cannot wait for socket events", error, remedy));
            }
            Ok(()) => {}
        }
        self.worker.turn += 1;
        self.worker.tick();
        let worker = &mut self.worker;
        dispatch::resume_deferred(worker, service);
        for event in &*events {
            let Token(token) = event.token();
            match (token & 0xffff_ffff).checked_sub(LISTENER_TOKEN_MIN) {
                Some(index) => self.listeners[index].waiting = true,
                None => {
                    let conn = ConnId { index: token as u32, generation: (token >> 32) as u32 };
                    dispatch::on_event(worker, service, conn, event);
                }
            }
        }
        for listener in self.listeners.iter_mut().filter(|listener| listener.waiting) {
            dispatch::accept(worker, service, listener);
        }
        if worker.alarm_at.is_some_and(|at| at <= worker.tick()) {
            worker.alarm_at = None;
            service.on_alarm(worker);
        }
        self.end_turn(service);
        Ok(())
    }

    /// Returns the timeout for epoll.
    fn timeout(&mut self) -> Duration {
        let has_work =
            !self.worker.deferred.is_empty() || self.listeners.iter().any(|it| it.waiting);
        if self.idle == Idle::Spin || has_work {
            return Duration::ZERO;
        }
        match self.worker.alarm_at {
            Some(at) => {
                let now = self.worker.tick();
                Duration::from(at.since(now)).min(SLEEP_MAX)
            }
            None => SLEEP_MAX,
        }
    }
}
