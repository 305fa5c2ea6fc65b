//! Reads counters and connections of a running stack from any thread.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use super::census::{self, Silent};
use super::mailbox::Mailbox;
use super::report::{Report, WorkerReport};
use crate::shard::ConnInfo;

/// Watches a running stack ([`Stack::observer`](super::Stack::observer)): its counters and its
/// connections, from any thread. A clone watches the same stack.
///
/// It outlives the stack: it then returns the last counters, and [`connections`](Self::connections)
/// fails.
#[derive(Clone, Debug)]
pub struct Observer {
    watched: Arc<Watched>,
}

#[derive(Debug)]
struct Watched {
    interface: String,
    started: StdInstant,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    queue: u32,
    mailbox: Arc<Mailbox>,
}

impl Observer {
    /// Watches the workers with these queues and mailboxes, which start now.
    pub(super) fn new(interface: &str, queues: &[u32], mailboxes: &[Arc<Mailbox>]) -> Self {
        let worker = |(queue, mailbox): (&u32, &Arc<Mailbox>)| Worker {
            queue: *queue,
            mailbox: Arc::clone(mailbox),
        };
        let workers = queues.iter().zip(mailboxes).map(worker).collect();
        let (interface, started) = (interface.to_owned(), StdInstant::now());
        Self { watched: Arc::new(Watched { interface, started, workers }) }
    }

    /// Returns the name of the stack's interface.
    pub fn interface(&self) -> &str {
        &self.watched.interface
    }

    /// Returns the time since the stack started.
    pub fn uptime(&self) -> StdDuration {
        self.watched.started.elapsed()
    }

    /// Returns the counters of all workers, at most 50 ms old.
    pub fn report(&self) -> Report {
        let of = |worker: &Worker| WorkerReport::of(worker.queue, &worker.mailbox);
        Report { workers: self.watched.workers.iter().map(of).collect() }
    }

    /// Calls `each` for every connection, with the number of its worker, until `each` breaks.
    /// Includes connections in SYN-RECEIVED and TIME-WAIT. Connections that open or close meanwhile
    /// may appear twice or not at all.
    ///
    /// Waits for the workers, so a callback of a [`Service`](crate::Service) must not call it: its
    /// worker cannot answer before the callback returns.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn connections(
        &self,
        mut each: impl FnMut(usize, &ConnInfo) -> ControlFlow<()>,
    ) -> Result<(), Silent> {
        for (number, worker) in self.watched.workers.iter().enumerate() {
            if census::list(number, &worker.mailbox, &mut each)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}
