//! The one error type of the command line: what was tried, what went wrong, what to do.

use std::fmt;

/// Whose fault it is, which is what the exit status tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The command line asks for what cannot be: exit status 2.
    Usage,
    /// The host, the network or the peer: exit status 1.
    World,
}

/// An error as the user reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    blame: Blame,
    tried: String,
    wrong: String,
    remedy: String,
}

impl Failure {
    /// The host, the network or the peer did not play along.
    pub fn new(
        tried: impl Into<String>,
        wrong: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            blame: Blame::World,
            tried: tried.into(),
            wrong: wrong.to_string(),
            remedy: remedy.into(),
        }
    }

    /// The command line asks for what cannot be.
    pub fn usage(
        tried: impl Into<String>,
        wrong: impl fmt::Display,
        remedy: impl Into<String>,
    ) -> Self {
        Self { blame: Blame::Usage, ..Self::new(tried, wrong, remedy) }
    }

    /// 1 or 2.
    pub fn exit_status(&self) -> u8 {
        match self.blame {
            Blame::World => 1,
            Blame::Usage => 2,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  to do: {}", self.tried, self.wrong, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_was_tried_what_went_wrong_and_what_to_do() {
        let failure = Failure::new("cannot open x", "no such file", "create it");
        assert_eq!(failure.to_string(), "cannot open x: no such file\n  to do: create it");
        assert_eq!(failure.exit_status(), 1);
        assert_eq!(Failure::usage("a", "b", "c").exit_status(), 2);
    }
}
