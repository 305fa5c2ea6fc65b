//! ICMP, both versions: echo, the errors, and what the errors quote.
//!
//! | file | |
//! |---|---|
//! | `v4` | RFC 792, with the MTU of RFC 1191 |
//! | `v6` | RFC 4443; Neighbour Discovery is handed on to `wire::ndp` |
//! | `quote` | the packet that an error is about |

mod quote;
pub mod v4;
pub mod v6;

#[cfg(test)]
mod tests;

pub use quote::{Quote, quotable_v4, quotable_v6};

/// Bytes before an echo's data or an error's quote.
pub const HEADER_LEN: usize = 8;

/// An echo request's or reply's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Which program asked.
    pub ident: u16,
    /// Which of its requests.
    pub sequence: u16,
    /// What is to be sent back.
    pub data: &'a [u8],
}
