//! Threads and real time around the shards: pinned workers, one queue each; bounded lock-free queues
//! between them; idle policies; the mirror of the kernel's routes and neighbours; a clean start and stop.
//!
//! # Start and stop
//!
//! [`Stack::start`] opens one AF_XDP socket a queue, loads the XDP program, puts the sockets in its map,
//! claims the addresses, attaches, waits for the carrier and starts the workers. Whatever fails undoes
//! what was done. [`Stack::stop`] asks the workers to close or reset their connections, joins them,
//! detaches the program (before the sockets go: a frame redirected to a dead socket is lost) and drops
//! the links. When the process dies any other way the kernel drops the BPF link and with it the program.
//!
//! # Between threads
//!
//! | from | to | what | how |
//! |---|---|---|---|
//! | stack, mirror | worker | commands | bounded queue, an eventfd if the worker sleeps |
//! | worker | worker | frames that landed on the wrong queue | bounded queue of recycled buffers |
//! | worker | worker | addresses settled, service stopped | a flag each, the last one wakes all |
//! | worker | stack | counters | relaxed stores once in a while, read at leisure |
//! | stack | worker and back | the connections | a slice a turn, in the asker's memory |

mod barrier;
mod budget;
mod capture;
mod census;
mod clock;
mod config;
mod control;
mod cores;
mod error;
mod handover;
mod idle;
mod mirror;
mod publish;
mod setup;
mod stack;
mod steering;
#[cfg(test)]
mod tests;
mod waits;
mod watch;
mod worker;

pub use census::Silent;
pub use clock::Clock;
pub use config::{DadConfig, Queues, Role, StackConfig};
pub use control::Shutdown;
pub use cores::Cores;
pub use error::StartError;
pub use idle::IdlePolicy;
pub use stack::{Report, Stack, WorkerReport};
