//! Explicit congestion notification: routers mark packets in place of dropping them, the receiver tells the
//! sender. Classic feedback (RFC 3168) tells of one mark a round trip, accurate feedback (RFC 9768) of all.
//!
//! Owns what the ends agreed on and both directions of feedback, in the box of rare things: to connections
//! without ECN it costs the test of a byte. Refuses to know what congestion control makes of a mark.
//!
//! | file | |
//! |---|---|
//! | `handshake` | tables 2 to 4 of RFC 9768: who asks, who agrees, what is told of the SYNs |
//! | `classic` | one connection's feedback by RFC 3168 |
//! | `accurate` | the same by RFC 9768 |
//! | `codepoint` | codepoints, policies, modes, counters |
//! | `state` | what a connection keeps of it |
//! | `echo` | what feedback returns |
//!
//! The steps of a connection are in `arrive::ecn` and `send::ecn`.

mod accurate;
mod classic;
mod codepoint;
mod echo;
pub(super) mod handshake;
mod state;

pub(super) use accurate::Accurate;
pub(super) use classic::Classic;
pub use codepoint::{ByteCounters, Codepoint, EcnMode, EcnPolicy};
pub(super) use echo::{Echo, Urgency};
pub(super) use state::{Ecn, Feedback};
