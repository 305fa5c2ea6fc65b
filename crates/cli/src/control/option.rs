//! The option `--control` of `serve` and `load`.

use std::path::PathBuf;
use std::str::FromStr;

use linerate::runtime::control::{ControlError, ControlSocket};

use crate::failure::Failure;

/// The value of `--control`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlOption {
    /// A socket at this path.
    At(PathBuf),
    /// No control socket.
    Off,
}

impl FromStr for ControlOption {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "off" { Self::Off } else { Self::At(text.into()) })
    }
}

impl ControlOption {
    /// Opens the socket of `--control`, or the default one. If the default socket cannot be opened,
    /// prints a note and returns `None`.
    ///
    /// # Errors
    /// Fails if the socket that `--control` names cannot be opened.
    pub(crate) fn open(option: Option<&Self>) -> Result<Option<ControlSocket>, Failure> {
        match option {
            Some(Self::Off) => Ok(None),
            Some(Self::At(path)) => ControlSocket::open(path).map(Some).map_err(|error| {
                Failure::new(
                    format!("cannot open the control socket {}", path.display()),
                    cause(error),
                    "give --control an unused path in an existing directory, or `off`",
                )
            }),
            None => Ok(ControlSocket::open_default()
                .inspect_err(|error| eprintln!("note: {error}"))
                .ok()),
        }
    }
}

/// Returns the cause alone: the failure names the path and the remedy.
fn cause(error: ControlError) -> String {
    match error {
        ControlError::Open { error, .. } => error.to_string(),
        other => other.to_string(),
    }
}
