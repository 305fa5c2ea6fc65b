//! The attempt of a client to open with data or with the request for a cookie, and its outcome (RFC 7413
//! §4.1.3, §4.2).

use super::cookie::{FastOpen, Form};

/// Bytes of options that the data of a SYN leaves room for. The MSS does not count them (RFC 6691), and
/// what is on the way may add some to a SYN: so the most there can be.
const OPTIONS_LEN_MAX: u16 = 40;

/// How the first SYN is to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// With the request for a cookie (§4.2.1).
    Ask(Form),
    /// With data for a server that takes segments of `mss` bytes, and the cookie that it gave; without one
    /// for servers that want none (§7.3).
    Send {
        /// The cookie.
        cookie: Option<FastOpen>,
        /// The server's MSS, as it announced it.
        mss: u16,
    },
}

/// What came of an attempt: the facts, for who remembers servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The option that the SYN-ACK had; only after a SYN with one.
    pub answer: Option<FastOpen>,
    /// The MSS that the server announced, or the default; `None` without SYN-ACK.
    pub mss: Option<u16>,
    /// The SYN asked for a cookie.
    pub asked: bool,
    /// There was data in the SYN.
    pub sent: bool,
    /// Some of it was acknowledged by the SYN-ACK.
    pub acked: bool,
    /// The SYN had to be sent again.
    pub timed_out: bool,
    /// The path has told that the SYN was too big.
    pub too_big: bool,
}

/// Whether there was data in the SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynData {
    /// None.
    #[default]
    None,
    /// Ours, and the SYN-ACK did not acknowledge all of it, or has not come.
    Sent,
    /// Ours, and the SYN-ACK acknowledged it.
    Acknowledged,
    /// The peer's, and we took it.
    Received,
}

/// The state of an attempt.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Opening {
    pub(in crate::tcp) attempt: Attempt,
    pub(in crate::tcp) outcome: Outcome,
    /// The MSS that the path was found to have room for.
    pub(in crate::tcp) path_mss: Option<u16>,
}

/// What the first SYN takes along.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct SynLoad {
    pub(in crate::tcp) option: Option<FastOpen>,
    /// Bytes of data.
    pub(in crate::tcp) len: u32,
}

impl Attempt {
    /// The most data that the SYN takes. RFC 7413 §4.1.3 limits it to the server's MSS, or to the default
    /// MSS for servers that have told none.
    pub fn room(&self, ours: u16) -> u32 {
        match self {
            Self::Ask(_) => 0,
            Self::Send { mss, .. } => u32::from((*mss).min(ours).saturating_sub(OPTIONS_LEN_MAX)),
        }
    }
}
