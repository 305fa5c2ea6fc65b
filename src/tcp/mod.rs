//! The protocol, sans-IO: facts in (`on_*`), questions out (`poll_*`), time and randomness as
//! arguments. Knows no frames, addresses, cores or clocks.
//!
//! # Three kinds of connection
//!
//! | kind | states (RFC 9293 §3.3.2) | here |
//! |---|---|---|
//! | [`Embryo`] | SYN-RECEIVED of a passive open | `embryo` |
//! | [`Connection`] | SYN-SENT, SYN-RECEIVED of a simultaneous open, ESTABLISHED … LAST-ACK | `connection` |
//! | [`TimeWait`] | TIME-WAIT | `time_wait` |
//!
//! LISTEN is the shard's listener; CLOSED is no entry at all.

mod arrive;
mod assembler;
mod buffer;
pub mod congestion;
mod connection;
mod cookie;
mod embryo;
mod isn;
mod phase;
mod receive;
mod recovery;
mod rtt;
mod segment;
mod send;
mod seq;
mod settings;
mod time_wait;
mod timers;
mod transmit;
mod window;

#[cfg(test)]
mod tests;

pub use assembler::{Assembler, TooManyHoles};
pub use buffer::{BufferPool, RingBuffer};
pub use connection::{CloseReason, Connection, Disposition, Env, Events, Info, PathError};
pub use cookie::{CookieContent, CookieJar};
pub use embryo::{Embryo, EmbryoAnswer, EmbryoDeadline};
pub use isn::{FlowSecrets, IsnGenerator, timestamp};
pub use phase::Phase;
pub use rtt::Rtt;
pub use segment::{Flags, Options, SackBlocks, Segment, SegmentOut, Timestamps};
pub use seq::SeqNum;
pub use settings::{KeepAlive, Settings};
pub use time_wait::{REUSE_DELAY, TimeWait, TimeWaitAnswer};
pub use window::WindowShift;
