//! ICMP for IPv4 and IPv6: echo, errors, and the packets that errors quote.
//!
//! | file | |
//! |---|---|
//! | `v4` | RFC 792, with the MTU of RFC 1191 |
//! | `v6` | RFC 4443; Neighbour Discovery messages go to `wire::ndp` |
//! | `echo` | contents of echo messages |
//! | `quote` | the packet that caused an error |

mod echo;
mod quote;
pub mod v4;
pub mod v6;

#[cfg(test)]
mod tests;

pub use echo::{Echo, HEADER_LEN};
pub use quote::{Quote, quotable_v4, quotable_v6};
