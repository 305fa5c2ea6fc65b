//! The sending side: what is written and buffered, what may be sent now, and the segment that is sent.
//!
//! | file | |
//! |---|---|
//! | `write` | the send buffer |
//! | `transmit` | the plan: which segment is next |
//! | `emit` | the segment of a plan |
//! | `push`, `pacing` | PSH and bursts; when a segment may leave |
//! | `path_mtu` | probes of the path MTU |
//! | `ecn` | what an outgoing segment says of congestion |

mod ecn;
mod emit;
mod pacing;
mod path_mtu;
mod push;
mod transmit;
mod write;

pub use transmit::Plan;
