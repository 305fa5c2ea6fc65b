//! One core's stack: the batch pipeline, the flow table, the timers, the listeners, the neighbours. The
//! only layer that knows both bytes and the protocol.

mod flow_table;
mod key;
mod neighbours;
mod ports;
mod routes;
mod service;
mod slab;
mod wheel;

pub use service::{ConnId, ConnInfo, ConnectError, Ending, Io, ListenerId, Open, Service};
