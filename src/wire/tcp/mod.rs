//! TCP headers (RFC 9293 §3.1) and their options.
//!
//! Knows the layout only: which option means what in which state is the protocol's matter, except for
//! options that belong to a SYN, which are dropped elsewhere.
//!
//! | file | |
//! |---|---|
//! | `header` | a header that arrived |
//! | `options` | its options |
//! | `accecn` | the two options of Accurate ECN |
//! | `fast_open` | the Fast Open option in both forms |
//! | `emit` | a header to be sent, with its options, data and sum |

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

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// Bytes that options can take: the data offset counts 15 words at most.
pub const OPTIONS_LEN_MAX: usize = 40;

/// Control bits (RFC 9293 §3.1) as in the header's thirteenth and fourteenth byte.
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
    /// All of them; the three bits above are reserved (RFC 9293 §3.1).
    pub(in crate::wire) const ALL: u16 = 0x1ff;
}
