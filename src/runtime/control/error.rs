//! The errors of a control socket.

use std::io;
use std::path::PathBuf;

/// Why a control socket was not opened or is not served. The stack is not affected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The socket could not be opened.
    #[error(
        "opening the control socket {}: {error}; give an unused path in an existing directory",
        path.display()
    )]
    Open {
        /// The path of the socket.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The system refused the thread that serves the socket, or its file descriptors.
    #[error("starting the thread of the control socket: {error}; raise the limits of the process")]
    Thread {
        /// The cause.
        error: io::Error,
    },
}
