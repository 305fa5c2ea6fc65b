//! The sending side: the send buffer, the choice of the next segment, and its construction.
//!
//! | file | |
//! |---|---|
//! | `write` | the send buffer |
//! | `transmit` | the plan: selects the next segment |
//! | `emit` | builds the planned segment |
//! | `push`, `pacing` | PSH and bursts; the time at which a segment may leave |
//! | `path_mtu` | path MTU probes |
//! | `ecn` | ECN fields of outgoing segments |

mod ecn;
mod emit;
mod pacing;
mod path_mtu;
mod push;
mod transmit;
mod write;

pub use transmit::Plan;
