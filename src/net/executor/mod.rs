//! The executor of one worker: tasks that never leave their thread, woken by the shard's callbacks,
//! polled at the end of a turn.
//!
//! | file | |
//! |---|---|
//! | `door` | the `Io` of the callback in progress |
//! | `slots`, `accepts`, `timers`, `waiters` | whom connections, listeners and timers wake |
//! | `queue`, `registry` | the tasks that are ready; all tasks |
//! | `core`, `census` | the state of an executor; a count of what it holds |
//! | `current` | the executor that runs on this thread |
//! | `spawn` | the life of a task |
//! | `service` | the executor as a service |
//!
//! Knows of connections only whom they wake. `tcp` above has the streams.

pub(super) mod accepts;
pub(super) mod census;
pub(super) mod core;
pub(super) mod current;
pub(super) mod door;
pub(super) mod queue;
pub(super) mod registry;
mod service;
pub(super) mod slots;
pub(super) mod spawn;
pub(super) mod timers;
pub(super) mod waiters;

pub use service::Executor;
