//! Control bits (RFC 9293 §3.1) as in bytes 13 and 14 of the header.

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
