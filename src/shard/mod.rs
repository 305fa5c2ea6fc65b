//! One core's stack: the batch pipeline, the flow table, the timers, the listeners, the neighbours. The
//! only layer that knows both bytes and the protocol.

mod announce;
mod arrivals;
mod census;
mod claim;
mod claims;
mod codec;
mod config;
mod control;
mod discovery;
mod egress;
mod embryos;
mod engine;
mod fast_open;
mod flow;
pub mod flow_table;
mod fragments;
mod groups;
mod handover;
mod held;
mod ingress;
mod io;
pub mod key;
mod limiter;
mod listeners;
mod locals;
mod neighbour;
mod neighbours;
mod opens;
mod owed;
mod pages;
mod passive;
mod path_mtu;
mod ports;
mod problems;
mod processor;
mod ready;
mod reassembly;
mod routers;
mod routes;
mod secrets;
mod service;
mod slaac;
mod slab;
pub mod steer;
mod tables;
mod tending;
mod time_waits;
mod timers;
mod turn;
pub mod wheel;

#[cfg(test)]
mod tests;

pub use crate::role::Role;
pub use census::Cursor;
pub use claim::{DadConfig, Probing};
pub use config::{Config, HOP_LIMIT};
pub use fast_open::{Early, FastOpenListener};
pub use handover::{Alone, Handed, Handover};
pub use listeners::{LISTENERS_MAX, ListenError, ListenerConfig};
pub use locals::AddressState;
pub use routes::{Prefix, Route};
pub use service::{
    Algorithm, CloseReason, ConnId, ConnInfo, ConnectError, ConnectOptions, EcnPolicy, Io,
    KeepAlive, ListenerId, Loss, Memory, Repairs, Service, SocketOption, SoftError, SynData,
};
pub use steer::{NO_WORKER, Steering, Toeplitz};
pub use turn::{Shard, Turn, TurnEnv};
