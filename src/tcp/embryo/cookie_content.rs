//! The content of an embryo that a SYN cookie can carry (RFC 4987 §3.6).

use crate::tcp::{EcnMode, SeqNum, WindowShift};

/// What a handshake agreed on: from a SYN, or remembered by the peer in a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieContent {
    /// Our initial sequence number: the cookie itself.
    pub iss: SeqNum,
    /// The peer's.
    pub irs: SeqNum,
    /// The peer's MSS, rounded down to what a cookie can tell.
    pub mss: u16,
    /// The peer's window shift, if it offered one.
    pub window_shift: Option<WindowShift>,
    /// Whether the peer permits SACK.
    pub sack_permitted: bool,
    /// The form of congestion feedback that we agreed to.
    pub ecn: EcnMode,
    /// The peer's clock, if it uses timestamps.
    pub ts_recent: Option<u32>,
}
