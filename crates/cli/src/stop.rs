//! The stop flag that SIGINT and SIGTERM raise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::failure::Failure;

/// A shared flag that is raised once and stays raised.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Returns a flag that SIGINT and SIGTERM raise. A second signal ends the process immediately,
    /// in case the clean shutdown hangs.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub(crate) fn on_signals() -> Result<Self, Failure> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // The order matters: at the first signal the conditional handler must find the flag
            // clear.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&stop.0),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop.0)))
            .map_err(|error| {
                Failure::new("cannot install signal handlers", error, "run on a Linux host")
            })?;
        }
        Ok(stop)
    }

    /// Returns true once the flag is raised.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
