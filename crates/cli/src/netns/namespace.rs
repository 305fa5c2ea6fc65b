//! An unnamed network namespace that exists while its thread, or a child of that thread, runs in
//! it.
//!
//! It needs no cleanup: the kernel removes the namespace and its interfaces with the last process
//! in it, however that ends. The thread mounts a new `/sys`, because sysfs shows the interfaces of
//! the namespace that mounted it.

use std::any::Any;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::failure::Failure;

type Job = Box<dyn FnOnce() + Send>;

/// A thread in its own network namespace that runs the jobs given to it.
#[derive(Debug)]
pub(super) struct Namespace {
    /// `None` only during drop.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: String,
}

impl Namespace {
    /// Creates a namespace with only a loopback interface, which is down.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN.
    pub(super) fn new() -> Result<Self, Failure> {
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

    /// Returns the path of the file that refers to the namespace.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Runs `job` inside the namespace: processes, sockets and files in `/proc` and `/sys` are
    /// those of the namespace.
    ///
    /// # Panics
    /// When `job` panics.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = sync_channel::<Result<T, Box<dyn Any + Send>>>(1);
        let wrapped = move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            let _ = done.send(outcome);
        };
        let jobs = self.jobs.as_ref().expect("jobs is only taken in drop");
        jobs.send(Box::new(wrapped)).expect("the thread runs until the channel closes");
        match result.recv().expect("each job sends one result") {
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

/// Moves the calling thread to a new network namespace with its own `/sys`. Returns the thread id.
fn enter() -> nix::Result<i32> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)?;
    let nothing: Option<&str> = None;
    // Make the mounts private first, so that the new /sys does not propagate to the host.
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing)?;
    Ok(nix::unistd::gettid().as_raw())
}

fn failure(error: &dyn std::fmt::Display) -> Failure {
    Failure::new("cannot create a network namespace", error, "run as root (needs CAP_SYS_ADMIN)")
}
