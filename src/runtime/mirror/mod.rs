//! The mirror of the kernel's tables for one interface: neighbours, routes and link state, by
//! netlink. In shared mode the kernel resolves neighbours for the stack; in both modes the mirror
//! reports the removal of the interface.
//!
//! One thread, asleep unless something changes. It subscribes before it dumps, so that no change is
//! lost in between.

mod change;
mod netlink;
mod thread;

pub(super) use change::Change;
pub(super) use thread::{Mirror, Resolver};
