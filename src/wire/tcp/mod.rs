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
//! | `emit` | headers to send, with options, data and checksum |

mod accecn;
mod emit;
mod fast_open;
mod header;
mod options;

#[cfg(test)]
mod tests;

pub use accecn::AccEcn;
pub use emit::{HeaderOut, OptionsOut};
pub use fast_open::{FastOpen, FastOpenForm};
pub(super) use header::STAMPED_LEN;
pub use header::{Header, Stamped, parse, parse_stamped, verify};
pub use options::{Options, SackIter, Timestamps};

/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;

/// Maximum length of options in bytes: the data offset counts at most 15 words.
pub const OPTIONS_LEN_MAX: usize = 40;

/// Control bits (RFC 9293 §3.1) as in bytes 13 and 14 of the header.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u16 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u16 = 0x02;
    /// Reset the connection.
    pub const RST: u16 = 0x04;
    /// Push.
    pub const PSH: u16 = 0x08;
    /// The acknowledgement field is significant.
    pub const ACK: u16 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u16 = 0x20;
    /// ECN echo (RFC 3168).
    pub const ECE: u16 = 0x40;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u16 = 0x80;
    /// Accurate ECN (RFC 9768 §3.1.1).
    pub const AE: u16 = 0x100;
    /// All control bits. The three bits above are reserved (RFC 9293 §3.1).
    pub(in crate::wire) const ALL: u16 = 0x1ff;
}
