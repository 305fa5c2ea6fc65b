//! Commands that other threads send to a worker.

use std::sync::Arc;

use super::mirror::Change;
use crate::shard::Steering;
use crate::time::Duration;

/// The end of all connections when the stack stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shutdown {
    /// Sends FINs and waits for the peers for at most `grace`, then resets what is left.
    Close {
        /// The longest wait.
        grace: Duration,
    },
    /// Resets all connections at once.
    Abort,
}

/// A command to a worker.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Apply a change of the kernel's tables.
    Mirror(Change),
    /// Use this division of flows among the workers.
    Steer(Arc<Steering>),
    /// Send and receive packets of at most so many bytes.
    Mtu(usize),
    /// Close the listeners, let the service finish, and end once all connections are closed, after
    /// this grace at the latest.
    Drain(Duration),
    /// Close the connections and end.
    Stop(Shutdown),
}
