//! State of the service that a shard runs.

use std::collections::VecDeque;

use crate::shard::flow::service_waker::ServiceWaker;
use crate::time::Instant;

/// Number of panic reports that wait for the runtime. Later ones are only counted.
const PANICS_MAX: usize = 16;

/// Start, alarm and stop of the service.
#[derive(Default)]
pub(in crate::shard) struct ServiceState {
    /// The service has started.
    pub(in crate::shard) started: bool,
    /// The runtime keeps the service from starting.
    pub(in crate::shard) held_back: bool,
    /// The shard drains: a service that has not started stays so.
    pub(in crate::shard) draining: bool,
    /// Time of the service's next alarm.
    pub(in crate::shard) alarm: Option<Instant>,
    /// The service has asked to stop.
    pub(in crate::shard) stopping: bool,
    /// Set by other threads.
    pub(in crate::shard) waker: ServiceWaker,
    /// Ports of listeners that the service opened (`true`) or closed, for the runtime.
    pub(in crate::shard) ports: VecDeque<(u16, bool)>,
    /// Messages of panics that the service survived, for the runtime.
    panics: Vec<String>,
}

impl ServiceState {
    /// Returns true if the service is called in the next turn because another thread has woken it.
    #[inline]
    pub(in crate::shard) fn is_woken(&self) -> bool {
        self.started && self.waker.is_woken()
    }

    /// Keeps the message of a panic for [`take_panic`](Self::take_panic).
    pub(in crate::shard) fn report_panic(&mut self, message: &str) {
        if self.panics.len() < PANICS_MAX {
            self.panics.push(message.to_owned());
        }
    }

    /// Returns the oldest message, one per call.
    pub(in crate::shard) fn take_panic(&mut self) -> Option<String> {
        if self.panics.is_empty() { None } else { Some(self.panics.remove(0)) }
    }
}
