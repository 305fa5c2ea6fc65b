//! TCP headers (RFC 9293 §3.1) and their options.
//!
//! Knows the layout only. The protocol decides what an option means in each state, except that
//! options valid on a SYN alone are dropped here on other segments.
//!
//! | file | |
//! |---|---|
//! | `header` | received headers |
//! | `options` | options of received headers |
//! | `accecn` | the two options of Accurate ECN |
//! | `fast_open` | the Fast Open option in both forms |
//! | `flag`, `kind`, `layout` | control bits, option kinds, lengths and offsets |
//! | `emit` | headers to send, with options, data and checksum |

mod accecn;
mod emit;
mod fast_open;
pub mod flag;
mod header;
mod kind;
mod layout;
mod options;

#[cfg(test)]
mod tests;

pub use accecn::AccEcn;
pub use emit::{HeaderOut, OptionsOut};
pub use fast_open::{FastOpen, FastOpenForm};
pub use header::{Header, Stamped, parse, parse_stamped, verify};
pub(super) use layout::STAMPED_LEN;
pub use layout::{HEADER_LEN, OPTIONS_LEN_MAX};
pub use options::{Options, SackIter, Timestamps};
