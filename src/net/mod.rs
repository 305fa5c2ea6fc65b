//! Async programs on the stack: tasks, streams, listeners and timers, one thread per core.
//!
//! An [`Executor`] is the service of a worker. Its tasks run on the worker's thread, between what
//! arrives in a turn and what leaves in it, so a task may hold `Rc` and `RefCell`, and takes no
//! lock. Streams are of the worker where their segments arrive.
//!
//! | room | |
//! |---|---|
//! | `executor` | tasks, timers, and the way to the shard |
//! | `tcp` | streams, listeners, opens |
//! | `ring`, `remote` | the stack from other threads |
//! | `task`, `time`, `drain` | what programs call |
//! | `traits` | traits of futures-io, tokio and hyper for streams |
//! | `worlds` | scenarios of the simulator in which every program is an async one |
//! | `address`, `error` | addresses as arguments; causes as [`std::io::Error`] |
//!
//! Everything works the same in a simulated world ([`sim`](crate::sim)), where time is virtual and
//! a run repeats exactly.

mod address;
mod drain;
mod error;
mod executor;
#[cfg(feature = "host")]
mod program;
mod remote;
pub mod ring;
mod task;
mod tcp;
#[cfg(test)]
mod tests;
mod time;
mod traits;
mod worlds;

pub use address::ToAddress;
pub use drain::{draining, is_draining};
pub use executor::Executor;
#[cfg(feature = "host")]
pub use program::{Outcome, ProgramError, Runtime, run};
pub use remote::{Handle, RemoteJoinHandle, RemoteListener, RemoteStream, block_on};
pub use task::{JoinError, JoinHandle, spawn, worker, yield_now};
pub use tcp::{
    Accept, Filled, OwnedReadHalf, OwnedWriteHalf, ReadHalf, Receive, TcpListener, TcpSocket,
    TcpStream, Transmit, WriteHalf, copy,
};
pub use time::{Elapsed, Interval, Sleep, Timeout, interval, now, sleep, sleep_until, timeout};
#[cfg(feature = "hyper")]
pub use traits::{HyperExecutor, HyperIo, HyperTimer};
pub use worlds::run_scenario;
