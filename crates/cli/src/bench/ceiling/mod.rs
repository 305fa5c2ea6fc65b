//! What the kernel's own AF_XDP path allows on the veth pair, measured beside the stacks in the same run.
//!
//! Two figures, both without a stack: raw [`echo`], by batch; and the [`exchange`] of a connection's seven
//! segments by rule. [`measure`] takes both once; [`summary`] makes one report of several times.

mod echo;
mod end;
mod exchange;
mod measure;
mod segment;
mod summary;

pub use measure::{Measured, Task, measure};
pub use summary::Ceiling;
