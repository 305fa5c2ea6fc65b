//! A server that speaks Redis' protocol: strings with expiry, pipelined requests, inline commands.
//!
//! `linerate-examples resp veth0 10.99.0.11/24`, then `redis-cli -h 10.99.0.11` or
//! `redis-benchmark -h 10.99.0.11 -P 16`.
//!
//! All tasks of a worker share one map by `Rc<RefCell>`: no lock, since a worker is one thread. A
//! stack of several workers would have as many maps; this one has one worker, on queue 0.
//!
//! | file | |
//! |---|---|
//! | `serve` | connections: reads requests, writes replies |
//! | `request` | bytes to requests, with limits |
//! | `command` | requests to replies |
//! | `store` | keys, values and when they expire |
//! | `reply` | replies to bytes |

mod command;
mod reply;
mod request;
mod serve;
mod store;

pub(crate) use serve::main;
