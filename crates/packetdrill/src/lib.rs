//! The stack behind packetdrill: a shared object that fills packetdrill's table of function
//! pointers with socket calls over one [`Shard`](linerate::shard::Shard), in virtual time.
//!
//! Owns the semantics of the socket calls: descriptors, blocking, errors, options, `tcp_info`. Does
//! not know the protocol: the shard produces every packet on the wire.
//!
//! # Life of a call
//!
//! `ffi` decodes the C arguments → `adapter` takes the lock and blocks if the call must wait →
//! `calls/*` implement the call → `world` runs the shard and collects the packets that it sends.
//!
//! # Time
//!
//! The clock stands still unless packetdrill sleeps, waits for a packet or reads the clock. After
//! every step of the stack, the thread that moved the clock retries the blocked calls. The result
//! therefore does not depend on the scheduling of threads: the same script gives the same packets
//! at the same microseconds. A woken thread reads the time at which its call completed.

mod adapter;
mod address;
mod calls;
mod epoll;
mod errno;
mod ffi;
mod flags;
mod host;
mod info;
mod limit_times;
mod program;
mod socket;
mod world;

pub use ffi::{Interface, packetdrill_interface_init};
