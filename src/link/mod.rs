//! Frames in and frames out, in batches. Treats Ethernet frames as bytes.
//!
//! A [`Frame`] is an unclonable ticket for one buffer: it is on one ring or has one holder. The
//! number of frames posted for RX, posted for TX, held and free is constant ([`Accounting`]).
//!
//! | file | |
//! |---|---|
//! | `contract` | the trait [`Link`] |
//! | `frame` | frames and the memory they live in |
//! | `metadata`, `statistics` | what comes with a frame; counters |
//! | `memory` | two links connected in memory |
//! | `xsk` | AF_XDP |
//! | `tap` | a TAP device of the kernel, without privileges |
//! | `impair` | an impaired network around any link |
//! | `pcap` | recording and replay |

mod contract;
mod frame;
pub mod impair;
pub mod memory;
mod metadata;
#[cfg(feature = "pcap")]
pub mod pcap;
mod statistics;
#[cfg(feature = "host")]
pub mod tap;
#[cfg(feature = "host")]
pub mod xsk;

pub use contract::{Link, State};
pub use frame::{Accounting, Area, Frame};
pub use metadata::{HASH_OF_PORTS, Metadata, Stamp};
pub use statistics::Statistics;
