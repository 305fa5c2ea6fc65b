//! The TCP/IP stack of one core, and the only layer that knows both wire formats and the protocol.
//!
//! Rooms, each of which may import those before it:
//!
//! | room | |
//! |---|---|
//! | `mem` | memory, timers, limits, the state of a turn |
//! | `fast_open` | state of TCP Fast Open |
//! | `flow` | the flow tables and the TCP endpoint |
//! | `codec`, `config` | bytes to typed segments and back; the configuration of a shard |
//! | `ip` | the IP layer |
//! | `engine` | the parts of a shard: turn, TCP, IP, workers, service |
//! | `tx` | pending output to frames |
//! | `rx` | frames to flows |
//! | `app` | the service |
//! | `shard`, `turn` | the control surface; the order of the steps |
//!
//! Types below, steps above: a file that defines a type which `engine::Engine`, the endpoint or
//! the IP layer holds contains no method of theirs.

mod app;
mod codec;
mod config;
mod engine;
mod fast_open;
mod flow;
mod ip;
mod mem;
mod rx;
#[expect(clippy::module_inception, reason = "the noun of this layer")]
mod shard;
mod turn;
mod tx;

#[cfg(test)]
mod tests;

pub use crate::role::Role;
pub use app::census::Cursor;
pub use app::mux::ServiceMux;
pub use app::service::{
    Algorithm, CloseReason, ConnInfo, ConnectError, ConnectOptions, EcnPolicy, Io, KeepAlive, Loss,
    Memory, Repairs, Service, SocketOption, SoftError, Status, SynData,
};
pub use config::{Config, DadConfig, HOP_LIMIT, Probing};
pub use fast_open::config::{Early, FastOpenListener};
pub use flow::id::{ConnId, ListenerId};
pub use flow::listeners::{LISTENERS_MAX, ListenError, ListenerConfig, ListenerOptions};
pub use flow::service_waker::ServiceWaker;
pub use flow::steer::{NO_WORKER, Steering, Toeplitz};
pub use flow::{flow_table, key, steer};
pub use ip::locals::AddressState;
pub use ip::routes::{Prefix, Route};
pub use mem::wheel;
pub use rx::handover::{Handover, HandoverResult, SingleWorker};
pub use shard::Shard;
pub use turn::{Turn, TurnEnv};
