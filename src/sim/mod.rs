//! A small deterministic world: hosts of one or more shards joined by a switch in memory, with
//! impairments, a clock that moves only when told, and one seed. The shards are those of production; only
//! the two ends, links and time, are replaced.
//!
//! A world advances from event to event: while frames are under way by the switch's delay, else to the
//! earliest deadline of any shard or link. The same seed gives the same world.
//!
//! A [`Scenario`] is drawn whole from a seed, hosts, conversations, storm and all, and put on under the eyes
//! of invariants: `linerate simulate` does nothing else.

mod apps;
mod bottleneck;
mod host;
mod invariants;
mod ledger;
mod party;
mod scenario;
mod script;
mod switch;
mod trial;
mod world;

pub use apps::{Client, Close, Daytime, Echo, Plan, SharedTally, Tally};
pub use bottleneck::{Bottleneck, FlowReport, Look, Report};
pub use host::{Host, HostId};
pub use scenario::{Change, HostPlan, Nowhere, Scenario, TalkPlan};
pub use script::{Appetite, Kind, Script, Step};
pub use trial::{Outcome, Violation};
pub use world::{Record, Witness, World, WorldConfig};
