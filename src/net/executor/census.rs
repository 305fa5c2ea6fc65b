//! A count of everything that an executor holds.

use super::core::Core;

/// The numbers of what tasks of an executor hold now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::net) struct Census {
    /// Tasks that have not ended.
    pub(in crate::net) tasks: usize,
    /// Timers that are set.
    pub(in crate::net) timers: usize,
    /// Connections that streams own.
    pub(in crate::net) streams: usize,
    /// Limits of closing times.
    pub(in crate::net) lingers: usize,
    /// Open listeners.
    pub(in crate::net) listeners: usize,
    /// Tasks that wait for a drain.
    pub(in crate::net) drain_waiters: usize,
}

impl Core {
    pub(in crate::net) fn census(&self) -> Census {
        Census {
            tasks: self.tasks.borrow().len(),
            timers: self.timers(),
            streams: self.slots.borrow().owned(),
            lingers: self.lingers.borrow().len(),
            listeners: self.accepts.borrow().len(),
            drain_waiters: self.drain_waiters.borrow().len(),
        }
    }
}
