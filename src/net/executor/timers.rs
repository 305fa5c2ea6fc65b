//! The timers of a worker's tasks, ordered by time, over the one alarm of the service.

use core::task::Waker;
use std::collections::BTreeMap;

use crate::time::Instant;

/// Names a timer: its time, and a number that makes it unique.
pub(in crate::net) type TimerId = (Instant, u64);

/// The timers that are set.
#[derive(Debug, Default)]
pub(in crate::net) struct Timers {
    set: BTreeMap<TimerId, Waker>,
    added: u64,
}

impl Timers {
    /// Sets a timer.
    pub(in crate::net) fn add(&mut self, at: Instant, waker: Waker) -> TimerId {
        self.added += 1;
        self.set.insert((at, self.added), waker);
        (at, self.added)
    }

    /// Replaces whom a timer wakes. A timer that has fired stays fired.
    pub(in crate::net) fn update(&mut self, id: TimerId, waker: &Waker) {
        if let Some(set) = self.set.get_mut(&id) {
            set.clone_from(waker);
        }
    }

    /// Removes a timer. Returns its waker, which the caller drops.
    pub(in crate::net) fn remove(&mut self, id: TimerId) -> Option<Waker> {
        self.set.remove(&id)
    }

    /// Returns the time of the earliest timer.
    pub(in crate::net) fn next(&self) -> Option<Instant> {
        self.set.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes a timer that is due, the earliest first.
    pub(in crate::net) fn pop(&mut self, now: Instant) -> Option<Waker> {
        let first = self.set.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    /// Removes all timers. Returns their wakers.
    pub(in crate::net) fn clear(&mut self) -> Vec<Waker> {
        core::mem::take(&mut self.set).into_values().collect()
    }

    /// Returns the number of timers that are set.
    pub(in crate::net) fn len(&self) -> usize {
        self.set.len()
    }
}
