//! One finding of `linerate check`.

use serde::Serialize;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Grade {
    /// No problem, or plain information.
    Good,
    /// The stack works, but could work better.
    Fair,
    /// The stack cannot run.
    Bad,
}

/// One checked property, its value and a hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Name of the property; the key in JSON.
    #[serde(skip)]
    pub name: &'static str,
    /// Severity.
    pub grade: Grade,
    /// Value found.
    pub value: String,
    /// Remedy; `null` if none is needed.
    pub hint: Option<String>,
}

impl Finding {
    /// Returns a finding that needs no remedy.
    pub(super) fn good(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, grade: Grade::Good, value: value.into(), hint: None }
    }

    /// Returns a finding that could be improved.
    pub(super) fn fair(
        name: &'static str,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { name, grade: Grade::Fair, value: value.into(), hint: Some(hint.into()) }
    }

    /// Returns a finding that prevents the stack from running.
    pub(super) fn bad(
        name: &'static str,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { grade: Grade::Bad, ..Self::fair(name, value, hint) }
    }
}
