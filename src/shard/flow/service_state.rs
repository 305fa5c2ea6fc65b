//! State of the service that a shard runs.

use crate::time::Instant;

/// Start, alarm and stop of the service.
#[derive(Default)]
pub(in crate::shard) struct ServiceState {
    /// The service has started.
    pub(in crate::shard) started: bool,
    /// The runtime keeps the service from starting.
    pub(in crate::shard) held_back: bool,
    /// Time of the service's next alarm.
    pub(in crate::shard) alarm: Option<Instant>,
    /// The service has asked to stop.
    pub(in crate::shard) stopping: bool,
}
