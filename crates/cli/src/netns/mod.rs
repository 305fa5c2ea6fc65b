//! Network namespaces for runs of this program's own, in which nothing of the host can be in the way, and
//! of which nothing is left, however a run ends.
//!
//! | file | owns |
//! |---|---|
//! | [`namespace`] | a namespace without a name, that lives as long as a thread of ours |
//! | [`pair`] | two of them joined by a veth pair; its settings and counters |
//! | [`child`] | this program once more, inside one of them |
//!
//! They know nothing of what is run there: addresses and the kernel's TCP settings are the caller's.

mod child;
mod namespace;
mod pair;

pub use child::{Child, interrupted};
pub use pair::{Cable, End, Pair, setting, tool};
