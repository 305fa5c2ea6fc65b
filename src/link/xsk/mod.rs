//! The AF_XDP link: frames of one queue of one interface, past the kernel's stack.
//!
//! Life of a frame: free → `fill ring` → device → `rx ring` → a [`Frame`](super::Frame) in somebody's
//! hand → free, or → `tx ring` → device → `completion ring` → free. [`XskLink`] runs the rings
//! (`rings`), keeps the chunks (`umem`) and decides when to kick (`kick`).
//!
//! A frame that is longer than a chunk comes and goes as several descriptors (`long`), where kernel and driver
//! carry such.
//!
//! It takes what an XDP program redirects to its [`fd`](XskLink::fd); attaching one is the xdp layer's.
//! Detach the program before dropping the link, or the queue's packets fall to the program's fallback.
//! All `unsafe` calls of xsk-rs and libc stay inside this folder.

mod config;
mod device;
mod error;
mod kick;
mod long;
mod metadata;
mod options;
mod rings;
mod socket;
mod umem;

pub use config::{BusyPoll, Config, Mode};
pub use error::OpenError;
pub use socket::{Bound, XskLink};
