//! One core's stack: the batch pipeline, the flow table, the timers, the listeners, the neighbours. The
//! only layer that knows both bytes and the protocol.

mod embryos;
pub mod flow_table;
mod held;
pub mod key;
mod neighbour;
mod neighbours;
mod ports;
mod prefetch;
mod routes;
mod service;
mod slab;
pub mod steer;
mod time_waits;
pub mod wheel;

pub use service::{ConnId, ConnInfo, ConnectError, Ending, Io, ListenerId, Open, Service};
pub use steer::{Handed, Handover, Steering, Toeplitz};
