//! Neighbour Discovery (RFC 4861): the five messages that discover neighbours and routers.
//!
//! Checks the rules of §6.1, §7.1 and §8.1 that concern a message and its IP header alone.
//!
//! | file | |
//! |---|---|
//! | `message` | the messages |
//! | `option` | their options: link-layer addresses, prefixes, the MTU |

mod message;
mod option;

#[cfg(test)]
mod tests;

pub use message::{
    ALL_NODES, ALL_ROUTERS, HOP_LIMIT, Message, NeighbourAdvertisement, NeighbourSolicitation,
    Preference, Redirect, RouterAdvertisement, RouterSolicitation, parse, solicited_node,
};
pub use option::{Prefix, PrefixIter, Prefixes};
