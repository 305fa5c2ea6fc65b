//! The detectors of loss recovery: they take facts and return decisions, and do not know connections.
//!
//! | file | |
//! |---|---|
//! | `ack_summary` | what one ACK delivered |
//! | `rack` | which segments are lost, by time (RFC 8985 §6) |
//! | `tlp` | what a probe of the tail found out (RFC 8985 §7.4) |
//! | `prr` | how much may be sent while the flight comes down (RFC 9937) |
//! | `forward` | whether a timeout was spurious, by F-RTO (RFC 5682) |
//! | `undo`, `repeats` | whether a retransmission was spurious, by timestamps (RFC 3522) and D-SACK (RFC 3708) |
//! | `path` | the minimum round trip, and whether the peer delays ACKs |

mod ack_summary;
mod forward;
mod path;
mod prr;
mod rack;
mod repeats;
mod tlp;
mod undo;

pub(in crate::tcp) use ack_summary::AckSummary;
pub(in crate::tcp) use forward::{Answer, Finding, ForwardProbe};
pub(in crate::tcp) use path::Path;
pub(in crate::tcp) use prr::{Progress, Prr};
pub(in crate::tcp) use rack::{Overdue, Rack, Reordering};
pub(in crate::tcp) use tlp::{TailProbe, Verdict};
pub(in crate::tcp) use undo::{Duplicate, Undo};
