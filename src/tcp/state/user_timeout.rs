//! The negotiation of the user timeout (RFC 5482).

use crate::time::Duration;

/// The state of the exchange (RFC 5482 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Negotiation {
    /// `ENABLED`: "controls whether the UTO option is enabled for a connection [...] Defaults to
    /// false."
    pub(in crate::tcp) enabled: bool,
    /// True if the option is pending: the program changed the timeout, or none was sent after the
    /// SYN.
    pub(in crate::tcp) pending: bool,
    /// `REMOTE_UTO`: the peer's last advice.
    pub(in crate::tcp) remote: Option<Duration>,
}

impl Negotiation {
    pub(in crate::tcp) fn enabled(on: bool) -> Self {
        Self { enabled: on, pending: on, remote: None }
    }
}
