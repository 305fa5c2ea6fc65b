//! A deterministic network simulator: hosts of one or more shards on a switch in memory, with
//! impairments, a virtual clock and one seed. The shards are the production code; only the two
//! ends, links and time, are replaced.
//!
//! A world advances from event to event: by the switch's delay while frames are in flight, else to
//! the earliest deadline of any shard or link. The same seed gives the same world.
//!
//! A [`Scenario`] is drawn from a seed (hosts, conversations, impairments) and run while invariants
//! are checked after every step: that is all that `linerate simulate` does.

mod apps;
mod bottleneck;
mod host;
mod invariants;
mod ledger;
mod programs;
mod runner;
mod scenario;
mod script;
mod switch;
mod trial;
mod world;

pub use apps::{Client, Close, Daytime, Echo, Plan, SharedTally, Tally};
pub use bottleneck::{Bottleneck, FlowReport, Report, Sample};
pub use host::{Host, HostId};
pub(crate) use ledger::{End, Place, SharedLedger};
pub(crate) use programs::Programs;
pub(crate) use runner::Opening;
pub use scenario::{Change, ConversationPlan, DeadTarget, HostPlan, Scenario};
pub(crate) use scenario::{PORT, address};
pub(crate) use script::content;
pub use script::{Kind, ReadPace, Script, Step};
pub use trial::{Outcome, Violation};
pub use world::{Record, Witness, World, WorldConfig};
