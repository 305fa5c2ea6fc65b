//! Threads and real time around the shards: pinned workers, one queue each; bounded lock-free
//! queues between them; idle policies; the mirror of the kernel's routes and neighbours;
//! housekeeping; start and stop.
//!
//! # Start and stop
//!
//! [`Stack::start`] opens one AF_XDP socket per queue, loads the XDP program, puts the sockets in
//! its map, claims the addresses, attaches, waits for the carrier and starts the workers and the
//! housekeeping thread. A step that fails undoes the ones before it. [`Stack::stop`] ends
//! housekeeping, asks the workers to close or reset their connections, joins them, detaches the
//! program (before the sockets are closed: a frame redirected to a closed socket is lost) and drops
//! the links. When the process dies in any other way the kernel drops the BPF link, and with it the
//! program.
//!
//! On a TAP device ([`StackConfig::tap`]) there is no program: the stack creates the device, gives
//! the kernel its addresses on it, and the kernel removes it with the last link.
//!
//! # Threads
//!
//! | thread | what it does |
//! |---|---|
//! | `linerate-0`, … | a worker: one queue, one shard, the program's service |
//! | `linerate-mirror` | follows the kernel's tables by netlink |
//! | `linerate-control` | answers requests of a `control` socket; one more per request |
//! | `linerate-watch` | housekeeping: probes the NIC, claims new addresses, sends [`StackEvent`]s |
//!
//! # Between threads
//!
//! | from | to | what | how |
//! |---|---|---|---|
//! | stack, mirror, housekeeping | worker | commands | bounded queue; eventfd if it sleeps |
//! | worker | worker | frames of the other's flows | bounded queue of recycled buffers |
//! | worker | worker | addresses ready, service stopped | flags; the last worker wakes all |
//! | worker | observers | counters | relaxed stores every 50 ms |
//! | worker | housekeeping | addresses, conflicts, its end | bounded queues, a flag, an eventfd |
//! | observers | worker and back | the connections | one page per turn, in the caller's memory |
//! | housekeeping | program | events | bounded queue that drops the oldest |

#[cfg(feature = "xdp")]
mod attach;
#[cfg(feature = "xdp")]
mod attachment;
mod barrier;
mod budget;
mod capture;
mod census;
mod claim;
mod clock;
mod command;
mod config;
#[cfg(feature = "control")]
pub mod control;
mod cores;
mod error;
mod events;
mod handover;
mod housekeeping;
mod idle;
mod links;
mod mailbox;
mod mirror;
#[cfg(feature = "xdp")]
mod nic;
#[cfg(not(feature = "xdp"))]
mod no_attach;
mod observer;
mod opened;
mod publish;
mod report;
mod setup;
mod stack;
mod steering;
mod tap;
mod tap_config;
#[cfg(test)]
mod tests;
mod waits;
mod waker;
mod watch;
mod worker;
#[cfg(feature = "xdp")]
mod xdp_hold;

pub use census::Silent;
pub use clock::Clock;
pub use command::Shutdown;
pub use config::{DadConfig, LinkKind, Queues, Role, StackConfig};
pub use cores::Cores;
pub use error::StartError;
pub use events::{StackEvent, StackEvents};
pub use idle::IdlePolicy;
pub use observer::Observer;
pub use report::{Report, WorkerReport};
pub use stack::Stack;
pub use tap_config::TapConfig;
