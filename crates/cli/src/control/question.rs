//! What can be asked through a control socket: one line of JSON.

use serde::{Deserialize, Serialize};

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Question {
    /// All counters: one line answers.
    Figures,
    /// The connections: a line for each, then one that says how it ended.
    Connections(Filter),
}

/// Which connections are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// In these states; all if empty.
    #[serde(default)]
    pub states: Vec<String>,
    /// With this port at either end.
    #[serde(default)]
    pub port: Option<u16>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u64>,
}

impl Filter {
    /// Whether a connection is wanted.
    pub fn takes(&self, info: &linerate::shard::ConnInfo) -> bool {
        let state = self.states.is_empty() || self.states.iter().any(|it| it == info.state);
        let port = self.port.is_none_or(|it| info.local.port() == it || info.remote.port() == it);
        state && port
    }
}
