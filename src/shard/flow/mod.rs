//! Flows: the flow table, the three stores that it leads to, and the TCP endpoint, which holds both
//! and everything that connections share: ports, listeners, secrets, buffers, timers.
//!
//! Refuses to know packets, addresses (a local address is a number) and the service. Imports `mem`
//! and `fast_open`.

pub(super) mod embryos;
pub(super) mod endpoint;
pub(super) mod entry;
pub mod flow_table;
pub(super) mod id;
pub mod key;
pub(super) mod listeners;
pub(super) mod memory;
pub(super) mod ports;
pub(super) mod secrets;
pub(super) mod service_state;
pub(super) mod service_waker;
pub(super) mod slab;
pub mod steer;
pub(super) mod tables;
pub(super) mod time_waits;
pub(super) mod workers;
