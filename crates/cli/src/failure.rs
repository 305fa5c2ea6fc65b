//! The error type of the command line: what failed, why, and what to do.

use std::fmt;

/// Origin of a failure. Determines the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Invalid command line: exit status 2.
    Usage,
    /// Problem of the host, the network or the peer: exit status 1.
    Runtime,
}

/// An error message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    kind: FailureKind,
    failed: String,
    cause: String,
    remedy: String,
}

impl Failure {
    /// Creates a failure of the host, the network or the peer.
    pub(crate) fn new(
        failed: impl Into<String>,
        cause: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            kind: FailureKind::Runtime,
            failed: failed.into(),
            cause: cause.to_string(),
            remedy: remedy.into(),
        }
    }

    /// Creates a failure of an invalid command line.
    pub(crate) fn usage(
        failed: impl Into<String>,
        cause: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self { kind: FailureKind::Usage, ..Self::new(failed, cause, remedy) }
    }

    /// Returns the exit status: 1 or 2.
    pub(crate) fn exit_status(&self) -> u8 {
        match self.kind {
            FailureKind::Runtime => 1,
            FailureKind::Usage => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  to do: {}", self.failed, self.cause, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_failed_why_and_what_to_do() {
        let failure = Failure::new("cannot open x", "no such file", "create it");
        assert_eq!(failure.to_string(), "cannot open x: no such file\n  to do: create it");
        assert_eq!(failure.exit_status(), 1);
        assert_eq!(Failure::usage("a", "b", "c").exit_status(), 2);
    }
}
