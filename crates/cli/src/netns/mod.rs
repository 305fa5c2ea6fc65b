//! Private network namespaces for measurements. They are isolated from the host's network, and
//! nothing of them remains, however a run ends.
//!
//! | file | owns |
//! |---|---|
//! | [`namespace`] | an unnamed namespace that lives as long as its thread |
//! | [`pair`] | two namespaces joined by a veth pair; its settings and counters |
//! | [`child`] | another instance of this program, inside a namespace |
//!
//! This module does not know what runs inside: the caller sets addresses and the kernel's TCP
//! settings.

mod child;
mod namespace;
mod pair;

pub(crate) use child::{Child, interrupted};
pub(crate) use pair::{Cable, End, Pair, setting, tool};
