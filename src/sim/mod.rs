//! A small deterministic world: hosts of one or more shards joined by a switch in memory, with
//! impairments, a clock that moves only when told, and one seed. The shards are those of production; only
//! the two ends, links and time, are replaced.
//!
//! A world advances from event to event: while frames are under way by the switch's delay, else to the
//! earliest deadline of any shard or link. The same seed gives the same world.

mod apps;
mod bottleneck;
mod host;
mod switch;
mod world;

pub use apps::{Client, Close, Daytime, Echo, Plan, SharedTally, Tally};
pub use bottleneck::{Bottleneck, FlowReport, Look, Report};
pub use host::{Host, HostId};
pub use world::{Record, World, WorldConfig};
