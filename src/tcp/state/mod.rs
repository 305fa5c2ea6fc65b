//! The state of a connection: the types that a [`Connection`] holds, each with the operations that
//! need nothing else.
//!
//! No file here contains a step of the protocol. The steps are in `open`, `arrive`, `receive`,
//! `send`, `recovery` and the files beside them.
//!
//! | file | |
//! |---|---|
//! | `connection` | the layout of a connection, plain accessors |
//! | `send_half`, `receive_half` | the sequence variables |
//! | `assembler` | which bytes past RCV.NXT have arrived |
//! | `timers`, `marks`, `early`, `challenge` | deadlines, flags, the budget of challenge ACKs |
//! | `recovery` | the round-trip time, the stage of loss recovery, the congestion control |
//! | `options` | the box of rare state |
//! | `bounds`, `pacer`, `path_search`, `pushing`, `urgent`, `user_timeout` | what is in the box |

mod assembler;
mod bounds;
mod challenge;
mod connection;
mod early;
mod marks;
mod options;
mod pacer;
mod path_search;
mod pushing;
mod receive_half;
mod recovery;
mod send_half;
mod timers;
mod urgent;
mod user_timeout;

pub use assembler::{Assembler, TooManyHoles};
pub(super) use bounds::Bounds;
pub(super) use challenge::{Challenge, Challenges};
pub use connection::Connection;
pub(super) use early::EarlyMarks;
pub(super) use marks::Marks;
pub(super) use options::ConnectionOptions;
pub(super) use pacer::Pacer;
pub use path_search::{PathMtuEvent, PathSizes};
pub(super) use path_search::{Search, SearchOutcome};
pub(super) use pushing::Pushing;
pub(super) use receive_half::{QUICK_ACKS_ALWAYS, ReceiveHalf};
pub(super) use recovery::{BACKOFF_MAX, DUPLICATE_ACKS, ECHOED_RTT_MS_MAX, Recovery, Stage};
pub(super) use send_half::SendHalf;
pub(super) use timers::{R1, Timers};
pub(super) use urgent::Urgent;
pub(super) use user_timeout::Negotiation;
