//! Detectors of loss recovery: take facts, return decisions, and do not know connections.
//!
//! | file | |
//! |---|---|
//! | `ack_summary` | data delivered by one ACK |
//! | `rack` | lost segments, by time (RFC 8985 §6) |
//! | `tlp` | result of a tail loss probe (RFC 8985 §7.4) |
//! | `prr` | transmission limit while the flight shrinks (RFC 9937) |
//! | `forward` | spurious timeouts, by F-RTO (RFC 5682) |
//! | `undo`, `repeats` | spurious retransmissions, by timestamps (RFC 3522) and D-SACK (RFC 3708) |
//! | `path` | minimum RTT, and delayed ACKs of the peer |

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
