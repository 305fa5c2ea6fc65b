//! The part of an embryo that a SYN cookie can carry (RFC 4987 §3.6).

use crate::tcp::{EcnMode, SeqNum, WindowShift};

/// The negotiated options of a handshake, from a SYN or from a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieContent {
    /// Our initial sequence number: the cookie itself.
    pub iss: SeqNum,
    /// The peer's initial sequence number.
    pub irs: SeqNum,
    /// The peer's MSS, rounded down to a value that a cookie can encode.
    pub mss: u16,
    /// The peer's window shift, if it offered one.
    pub window_shift: Option<WindowShift>,
    /// True if the peer permits SACK.
    pub sack_permitted: bool,
    /// The negotiated ECN mode.
    pub ecn: EcnMode,
    /// The peer's clock, if it uses timestamps.
    pub ts_recent: Option<u32>,
}
