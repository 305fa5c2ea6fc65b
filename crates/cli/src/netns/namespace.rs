//! A network namespace without a name, for as long as a thread of ours, or a child of it, lives in it.
//!
//! Nothing has to be removed: the kernel takes the namespace and its interfaces away with the last process
//! in it, however that ends. `/sys` is mounted anew inside, since it shows the interfaces of the namespace
//! that mounted it.

use std::any::Any;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::failure::Failure;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that lives in a network namespace of its own and does there what it is given.
#[derive(Debug)]
pub struct Namespace {
    /// `None` only while being dropped.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: String,
}

impl Namespace {
    /// A fresh one, with nothing in it but a loopback interface that is down.
    ///
    /// # Errors
    /// Without the privilege (CAP_SYS_ADMIN).
    pub fn new() -> Result<Self, Failure> {
        let (jobs, inbox) = channel::<Job>();
        let (entered, result) = sync_channel(1);
        let thread = std::thread::Builder::new().name("namespace".into()).spawn(move || {
            let outcome = enter();
            let failed = outcome.is_err();
            if entered.send(outcome).is_err() || failed {
                return;
            }
            for job in inbox {
                job();
            }
        });
        let thread = thread.map_err(|error| failure(&error))?;
        let tid =
            result.recv().map_err(|error| failure(&error))?.map_err(|error| failure(&error))?;
        let path = format!("/proc/{}/task/{tid}/ns/net", std::process::id());
        Ok(Self { jobs: Some(jobs), thread: Some(thread), path })
    }

    /// A file that stands for the namespace.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Runs `job` inside. What it spawns, opens and reads belongs to the namespace.
    ///
    /// # Panics
    /// When `job` does.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = sync_channel::<Result<T, Box<dyn Any + Send>>>(1);
        let wrapped = move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let _ = done.send(outcome);
        };
        let jobs = self.jobs.as_ref().expect("only drop takes it");
        jobs.send(Box::new(wrapped)).expect("the thread lives as long as its inbox");
        match result.recv().expect("each job answers once") {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives the calling thread a network namespace and a view of it in `/sys`; its thread id.
fn enter() -> nix::Result<i32> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    let nothing: Option<&str> = None;
    // Before anything is mounted, so that the host never sees it.
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing)?;
    Ok(nix::unistd::gettid().as_raw())
}

fn failure(error: &dyn std::fmt::Display) -> Failure {
    Failure::new("cannot make a network namespace", error, "run as root (CAP_SYS_ADMIN is needed)")
}
