//! The stack as packetdrill drives it: a shared object that fills packetdrill's table of function pointers
//! with socket calls over one [`Shard`](linerate::shard::Shard), in virtual time.
//!
//! Owns the meaning of the socket calls: descriptors, blocking, errors, options, `tcp_info`. Refuses to
//! know the protocol: everything that is seen on the wire is the shard's doing.
//!
//! # Life of a call
//!
//! `ffi` takes C's arguments apart → `adapter` takes the lock and blocks where the call must →
//! `calls/*` decide → `world` lets the shard act and collects what it sends.
//!
//! # Time
//!
//! The clock stands still unless packetdrill sleeps, waits for a packet or reads it. What a blocked call
//! waits for is tried after every step of the stack, by the thread that moved the clock, so that what
//! happens does not depend on when the operating system runs which thread: the same script gives the same
//! packets at the same microseconds. A thread that was woken reads the time at which its call came true.

mod adapter;
mod address;
mod calls;
mod errno;
mod ffi;
mod flags;
mod host;
mod info;
mod program;
mod socket;
mod world;

pub use ffi::packetdrill_interface_init;
