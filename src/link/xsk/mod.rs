//! The AF_XDP link: frames of one queue of one interface, bypassing the kernel's stack.
//!
//! Life of a frame: free → `fill ring` → device → `RX ring` → a [`Frame`](super::Frame) held by the
//! user → free, or → `TX ring` → device → `completion ring` → free. [`XskLink`] runs the rings
//! (`rings`), manages the chunks (`umem`) and decides when to kick (`kick`).
//!
//! A frame longer than a chunk uses several descriptors (`multi_buffer`), if kernel and driver
//! support it.
//!
//! The link receives the packets that an XDP program redirects to its [`fd`](XskLink::fd); the
//! layer `xdp` attaches the program. Detach it before dropping the link, or the packets of the
//! queue get the program's fallback action. All `unsafe` calls of xsk-rs and libc stay in this
//! folder.

mod choices;
#[cfg(feature = "xdp")]
mod config;
#[cfg(feature = "xdp")]
mod device;
#[cfg(feature = "xdp")]
mod error;
#[cfg(feature = "xdp")]
mod kick;
#[cfg(feature = "xdp")]
mod metadata;
#[cfg(feature = "xdp")]
mod multi_buffer;
#[cfg(feature = "xdp")]
mod options;
#[cfg(feature = "xdp")]
mod rings;
#[cfg(feature = "xdp")]
mod socket;
#[cfg(feature = "xdp")]
mod umem;

pub use choices::{BusyPoll, Mode};
#[cfg(feature = "xdp")]
pub use config::Config;
#[cfg(feature = "xdp")]
pub use error::OpenError;
#[cfg(feature = "xdp")]
pub use socket::{Bound, XskLink};
