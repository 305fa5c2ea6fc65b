//! Explicit congestion notification: routers mark packets in place of dropping them, and the
//! receiver reports the marks to the sender. Classic feedback (RFC 3168) reports one mark per round
//! trip, accurate feedback (RFC 9768) all of them.
//!
//! Owns the negotiated mode and both directions of feedback, in the box of rare state: a connection
//! without ECN pays for the test of one byte. Refuses to know the reaction of congestion control to
//! a mark.
//!
//! | file | |
//! |---|---|
//! | `handshake` | RFC 9768 tables 2 to 4: requests, agreements, reflections of the SYNs |
//! | `classic` | one connection's feedback by RFC 3168 |
//! | `accurate` | the same by RFC 9768 |
//! | `codepoint` | codepoints, policies, modes, counters |
//! | `state` | ECN state of a connection |
//! | `echo` | results of feedback processing |
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
