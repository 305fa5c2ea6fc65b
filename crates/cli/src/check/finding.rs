//! One line of the check.

use serde::Serialize;

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be, or neither good nor bad.
    Good,
    /// It works, but could work better.
    Fair,
    /// The stack cannot run like this.
    Bad,
}

/// What was looked at, what was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; the key in JSON.
    #[serde(skip)]
    pub name: &'static str,
    /// How good it is.
    pub grade: Grade,
    /// What was found.
    pub value: String,
    /// What to do; `null` when nothing is to be done.
    pub hint: Option<String>,
}

impl Finding {
    /// Nothing to be done.
    pub fn good(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, grade: Grade::Good, value: value.into(), hint: None }
    }

    /// Could be better.
    pub fn fair(name: &'static str, value: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, grade: Grade::Fair, value: value.into(), hint: Some(hint.into()) }
    }

    /// Stands in the way.
    pub fn bad(name: &'static str, value: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, ..Self::fair(name, value, hint) }
    }
}
