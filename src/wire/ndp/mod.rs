//! Neighbour Discovery (RFC 4861): the five messages by which neighbours and routers are found.
//!
//! Checks what §6.1 and §7.1 demand of a valid message by itself and of the header it came in.
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
