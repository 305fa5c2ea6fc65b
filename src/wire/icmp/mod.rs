//! ICMP for IPv4 and IPv6: echo, errors, and the packets that errors quote.
//!
//! | file | |
//! |---|---|
//! | `v4` | RFC 792, with the MTU of RFC 1191 |
//! | `v6` | RFC 4443; Neighbour Discovery messages go to `wire::ndp` |
//! | `quote` | the packet that caused an error |

mod quote;
pub mod v4;
pub mod v6;

#[cfg(test)]
mod tests;

pub use quote::{Quote, quotable_v4, quotable_v6};

/// Length of the header before an echo's data or an error's quote, in bytes.
pub const HEADER_LEN: usize = 8;

/// Contents of an echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Identifies the requesting program.
    pub ident: u16,
    /// Identifies the request.
    pub sequence: u16,
    /// Data that the reply returns.
    pub data: &'a [u8],
}
