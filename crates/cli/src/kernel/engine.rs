//! The threads of the kernel engine and their loop.

use std::io;
use std::time::Duration;

use linerate::shard::{ConnId, Service};
use mio::{Events, Interest, Token};

use super::dispatch;
use super::listener::{self, Listener};
use super::worker::Worker;
use crate::failure::Failure;
use crate::job::{Job, Report};
use crate::options::{Idle, StackOptions};
use crate::stop::Stop;

/// Tokens from here on are listeners; below, connections. No slab grows to 4 billion places.
const LISTENERS_FROM: usize = 0xffff_0000;

/// Events taken from epoll in one turn.
const EVENTS: usize = 256;

/// The longest sleep: how late a raised stop flag is seen.
const NAP_MAX: Duration = Duration::from_millis(100);

/// Runs a job on the kernel's sockets until every worker has ended.
///
/// # Errors
/// When a port cannot be bound, or a thread cannot be had.
pub fn run(job: &Job<'_>) -> Result<Report, Failure> {
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
                Failure::new("a worker broke", "it panicked, see above", "report it as a defect")
            })??;
        }
        Ok(Report::default())
    })
}

/// Sockets are descriptors: as many as the process may have. Where raising fails, what there is must do.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let system = std::fs::read_to_string("/proc/sys/fs/nr_open")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(hard);
        let most = hard.max(system);
        if setrlimit(Resource::RLIMIT_NOFILE, most, most).is_err() {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}

/// The core of each worker; `None` leaves it to the scheduler.
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

/// One thread's worker, its listeners and its service.
struct Engine {
    worker: Worker,
    listeners: Vec<Listener>,
    service: Box<dyn Service + Send>,
    idle: Idle,
}

impl Engine {
    fn new(number: usize, job: &Job<'_>) -> Result<Self, Failure> {
        let tried = "cannot start a worker on the kernel's sockets";
        let failed = |error: io::Error| Failure::new(tried, error, "raise `ulimit -n`");
        let worker = Worker::new(number, job.options).map_err(failed)?;
        let mut listeners = listener::bind_all(job.options, job.listeners)?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            let token = Token(LISTENERS_FROM + index);
            let registry = worker.poll.registry();
            registry.register(&mut listener.socket, token, Interest::READABLE).map_err(failed)?;
        }
        let service = (job.make_service)(number);
        Ok(Self { worker, listeners, service, idle: job.options.idle })
    }

    fn run(mut self, core: Option<core_affinity::CoreId>, stop: &Stop) -> Result<(), Failure> {
        if let Some(core) = core
            && !core_affinity::set_for_current(core)
        {
            return Err(Failure::usage(
                format!("cannot pin a worker to core {}", core.id),
                "there is no such core, or this process may not use it",
                "choose --cores from what `taskset -p $$` and `nproc` show",
            ));
        }
        let mut events = Events::with_capacity(EVENTS);
        self.worker.tick();
        self.service.on_start(&mut self.worker);
        dispatch::settle(&mut self.worker, &mut *self.service);
        while !self.worker.is_stopping && !stop.is_raised() {
            self.turn(&mut events)?;
        }
        Ok(())
    }

    fn turn(&mut self, events: &mut Events) -> Result<(), Failure> {
        let timeout = self.timeout();
        match self.worker.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(Failure::new("cannot wait for events", error, "try again")),
            Ok(()) => {}
        }
        self.worker.turn += 1;
        self.worker.tick();
        let (worker, service) = (&mut self.worker, &mut *self.service);
        dispatch::resume_deferred(worker, service);
        for event in &*events {
            let Token(token) = event.token();
            match (token & 0xffff_ffff).checked_sub(LISTENERS_FROM) {
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
            dispatch::settle(worker, service);
        }
        Ok(())
    }

    /// How long epoll may sleep.
    fn timeout(&mut self) -> Duration {
        let has_work =
            !self.worker.deferred.is_empty() || self.listeners.iter().any(|it| it.waiting);
        if self.idle == Idle::Spin || has_work {
            return Duration::ZERO;
        }
        match self.worker.alarm_at {
            Some(at) => {
                let now = self.worker.tick();
                Duration::from(at.since(now)).min(NAP_MAX)
            }
            None => NAP_MAX,
        }
    }
}
