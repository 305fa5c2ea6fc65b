//! A client's Fast Open attempt, with data or with a cookie request, and its outcome (RFC 7413
//! §4.1.3, §4.2).

use super::cookie::{FastOpen, Form};

/// Option bytes that the data of a SYN leaves room for. The MSS does not count options (RFC 6691),
/// and a middlebox may add some to a SYN, so this is the maximum.
const OPTIONS_LEN_MAX: u16 = 40;

/// Contents of the first SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A cookie request (§4.2.1).
    Ask(Form),
    /// Data for a server with a known MSS and its cookie; no cookie for servers that require none
    /// (§7.3).
    Send {
        /// The cookie.
        cookie: Option<FastOpen>,
        /// The server's announced MSS in bytes.
        mss: u16,
    },
}

/// Outcome of an attempt, for the cache of Fast Open servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Fast Open option of the SYN-ACK; only after a SYN with the option.
    pub answer: Option<FastOpen>,
    /// MSS that the server announced, or the default; `None` without a SYN-ACK.
    pub mss: Option<u16>,
    /// The SYN requested a cookie.
    pub asked: bool,
    /// The SYN carried data.
    pub sent: bool,
    /// The SYN-ACK acknowledged some of the data.
    pub acked: bool,
    /// The SYN was retransmitted.
    pub timed_out: bool,
    /// An ICMP message reported that the SYN was too big.
    pub too_big: bool,
}

/// Data in the SYN, and its fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynData {
    /// No data.
    #[default]
    None,
    /// We sent data; the SYN-ACK did not acknowledge all of it, or has not arrived.
    Sent,
    /// We sent data, and the SYN-ACK acknowledged it.
    Acknowledged,
    /// The peer sent data, and we accepted it.
    Received,
}

/// State of an attempt.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Opening {
    pub(in crate::tcp) attempt: Attempt,
    pub(in crate::tcp) outcome: Outcome,
    /// MSS that the path MTU allows.
    pub(in crate::tcp) path_mss: Option<u16>,
}

/// Fast Open contents of the first SYN.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct SynLoad {
    pub(in crate::tcp) option: Option<FastOpen>,
    /// Length of the data in bytes.
    pub(in crate::tcp) len: u32,
}

impl Attempt {
    /// Returns the maximum data in the SYN. RFC 7413 §4.1.3 limits it to the server's MSS, or to
    /// the default MSS for servers that announced none.
    pub fn room(&self, ours: u16) -> u32 {
        match self {
            Self::Ask(_) => 0,
            Self::Send { mss, .. } => u32::from((*mss).min(ours).saturating_sub(OPTIONS_LEN_MAX)),
        }
    }
}
