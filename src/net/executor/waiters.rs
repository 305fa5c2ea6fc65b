//! Tasks that wait for one event. Each has a ticket, and leaves nothing behind when it stops
//! waiting.

use core::task::Waker;
use std::collections::BTreeMap;

/// Names a task that waits. A task keeps its ticket for as long as it waits.
pub(in crate::net) type Ticket = u64;

/// The tasks that wait, in the order in which they began.
#[derive(Debug, Default)]
pub(in crate::net) struct Waiters {
    set: BTreeMap<Ticket, Waker>,
    issued: Ticket,
}

impl Waiters {
    /// Registers a task, again if it has a ticket. Returns its ticket.
    pub(in crate::net) fn wait(&mut self, ticket: Option<Ticket>, waker: &Waker) -> Ticket {
        let ticket = ticket.unwrap_or_else(|| {
            self.issued += 1;
            self.issued
        });
        match self.set.get_mut(&ticket) {
            Some(known) => known.clone_from(waker),
            None => drop(self.set.insert(ticket, waker.clone())),
        }
        ticket
    }

    /// Takes the task that has waited longest.
    pub(in crate::net) fn pop(&mut self) -> Option<Waker> {
        self.set.pop_first().map(|(_, waker)| waker)
    }

    /// Removes a task. `None` if it was taken.
    pub(in crate::net) fn remove(&mut self, ticket: Ticket) -> Option<Waker> {
        self.set.remove(&ticket)
    }

    /// Takes all tasks.
    pub(in crate::net) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        core::mem::take(&mut self.set).into_values()
    }

    /// Returns the number of tasks that wait.
    pub(in crate::net) fn len(&self) -> usize {
        self.set.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_waits_once_and_leaves_nothing() {
        let mut waiters = Waiters::default();
        let first = waiters.wait(None, Waker::noop());
        assert_eq!(waiters.wait(Some(first), Waker::noop()), first);
        let second = waiters.wait(None, Waker::noop());
        assert_eq!(waiters.len(), 2);
        assert!(waiters.remove(first).is_some() && waiters.remove(first).is_none());
        assert!(waiters.pop().is_some() && waiters.remove(second).is_none());
        assert_eq!(waiters.len(), 0);
    }

    #[test]
    fn a_task_that_was_taken_waits_again_under_its_ticket() {
        let mut waiters = Waiters::default();
        let ticket = waiters.wait(None, Waker::noop());
        assert!(waiters.pop().is_some());
        assert_eq!(waiters.wait(Some(ticket), Waker::noop()), ticket);
        assert_eq!(waiters.take().count(), 1);
    }
}
