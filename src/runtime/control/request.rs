//! The requests of the control socket: one line of JSON each.

use serde::{Deserialize, Serialize};

use crate::shard::ConnInfo;

/// A request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// All counters. The response is one [`Snapshot`](super::Snapshot).
    Figures,
    /// The connections. The response is one line per connection, then a line with their number or
    /// an error.
    Connections(Filter),
}

/// Selects connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// States to include; empty for all.
    #[serde(default)]
    pub states: Vec<String>,
    /// Port at either end.
    #[serde(default)]
    pub port: Option<u16>,
    /// Maximum number of connections in the response.
    #[serde(default)]
    pub limit: Option<u64>,
}

impl Filter {
    /// Returns true if state and port of a connection match.
    pub(super) fn matches(&self, info: &ConnInfo) -> bool {
        let state = self.states.is_empty() || self.states.iter().any(|it| it == info.state);
        let port = self.port.is_none_or(|it| info.local.port() == it || info.remote.port() == it);
        state && port
    }
}
