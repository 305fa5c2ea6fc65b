//! The negotiation of the user timeout (RFC 5482).

use crate::time::Duration;

/// RFC 5482 §3: the state of the exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Negotiation {
    /// `ENABLED`: "controls whether the UTO option is enabled for a connection [...] Defaults to false."
    pub(in crate::tcp) enabled: bool,
    /// The option is pending: the program changed the timeout, or none was sent beyond the SYN.
    pub(in crate::tcp) pending: bool,
    /// `REMOTE_UTO`: what the peer advised last.
    pub(in crate::tcp) remote: Option<Duration>,
}

impl Negotiation {
    pub(in crate::tcp) fn enabled(on: bool) -> Self {
        Self { enabled: on, pending: on, remote: None }
    }
}
