//! The connections that listeners have accepted and no task has taken yet.

use core::task::Waker;
use std::collections::{BTreeMap, VecDeque};

use super::waiters::{Ticket, Waiters};
use crate::shard::{ConnId, ListenerId};

/// The queue of one listener.
#[derive(Debug)]
pub(in crate::net) struct AcceptQueue {
    waiting: VecDeque<ConnId>,
    waiting_max: usize,
    /// The tasks in [`Accept`](crate::net::Accept) futures.
    acceptors: Waiters,
    /// The tasks that have polled.
    polled: Vec<Waker>,
    refused: u64,
}

/// The queues of a worker's listeners.
#[derive(Debug, Default)]
pub(in crate::net) struct Accepts {
    /// Ordered, so that tasks are woken in the same order in each run of a world.
    queues: BTreeMap<ListenerId, AcceptQueue>,
}

/// Verdict on an accepted connection.
#[derive(Debug)]
#[must_use]
pub(in crate::net) enum Accepted {
    /// It waits; wake this task, if any.
    Queued(Option<Waker>),
    /// No listener of `net` takes it, or its queue is full: reset it.
    Refused,
}

impl Accepts {
    /// Opens the queue of a listener, for at most `waiting_max` connections.
    pub(in crate::net) fn open(&mut self, listener: ListenerId, waiting_max: usize) {
        let queue = AcceptQueue {
            waiting: VecDeque::new(),
            waiting_max: waiting_max.max(1),
            acceptors: Waiters::default(),
            polled: Vec::new(),
            refused: 0,
        };
        self.queues.insert(listener, queue);
    }

    /// Changes how many connections may wait.
    pub(in crate::net) fn set_limit(&mut self, listener: ListenerId, waiting_max: usize) {
        if let Some(queue) = self.queues.get_mut(&listener) {
            queue.waiting_max = waiting_max.max(1);
        }
    }

    /// Closes the queue of a listener. Returns the connections that nothing has taken.
    pub(in crate::net) fn close(&mut self, listener: ListenerId) -> VecDeque<ConnId> {
        self.queues.remove(&listener).map(|queue| queue.waiting).unwrap_or_default()
    }

    /// Queues an accepted connection.
    pub(in crate::net) fn push(&mut self, listener: ListenerId, conn: ConnId) -> Accepted {
        let Some(queue) = self.queues.get_mut(&listener) else { return Accepted::Refused };
        if queue.waiting.len() >= queue.waiting_max {
            queue.refused += 1;
            return Accepted::Refused;
        }
        queue.waiting.push_back(conn);
        Accepted::Queued(queue.next_waker())
    }

    /// Takes the oldest waiting connection.
    pub(in crate::net) fn pop(&mut self, listener: ListenerId) -> Option<ConnId> {
        self.queues.get_mut(&listener)?.waiting.pop_front()
    }

    /// Registers an acceptor, again if it has a ticket. Returns its ticket.
    pub(in crate::net) fn wait(
        &mut self,
        listener: ListenerId,
        ticket: Option<Ticket>,
        waker: &Waker,
    ) -> Option<Ticket> {
        self.queues.get_mut(&listener).map(|queue| queue.acceptors.wait(ticket, waker))
    }

    /// Registers a task that has polled without a connection.
    pub(in crate::net) fn wait_polled(&mut self, listener: ListenerId, waker: &Waker) {
        let Some(queue) = self.queues.get_mut(&listener) else { return };
        if !queue.polled.iter().any(|known| known.will_wake(waker)) {
            queue.polled.push(waker.clone());
        }
    }

    /// Removes an acceptor. If it was woken for a connection that still waits, returns another task
    /// to wake.
    pub(in crate::net) fn stop_waiting(
        &mut self,
        listener: ListenerId,
        ticket: Ticket,
    ) -> Option<Waker> {
        let queue = self.queues.get_mut(&listener)?;
        let was_woken = queue.acceptors.remove(ticket).is_none();
        if was_woken && !queue.waiting.is_empty() { queue.next_waker() } else { None }
    }

    /// Returns the number of connections that wait.
    pub(in crate::net) fn waiting(&self, listener: ListenerId) -> usize {
        self.queues.get(&listener).map_or(0, |queue| queue.waiting.len())
    }

    /// Returns the number of connections reset because the queue was full.
    pub(in crate::net) fn refused(&self, listener: ListenerId) -> u64 {
        self.queues.get(&listener).map_or(0, |queue| queue.refused)
    }

    /// Takes all tasks that wait for connections.
    pub(in crate::net) fn take_wakers(&mut self) -> Vec<Waker> {
        let wakers = |queue: &mut AcceptQueue| {
            let polled = core::mem::take(&mut queue.polled);
            queue.acceptors.take().chain(polled).collect::<Vec<_>>()
        };
        self.queues.values_mut().flat_map(wakers).collect()
    }

    /// Returns the number of listeners.
    pub(in crate::net) fn len(&self) -> usize {
        self.queues.len()
    }
}

impl AcceptQueue {
    fn next_waker(&mut self) -> Option<Waker> {
        self.acceptors.pop().or_else(|| self.polled.pop())
    }
}
