//! The wish to stop, as SIGINT and SIGTERM tell it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::failure::Failure;

/// A flag that anyone may raise and nobody lowers.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that SIGINT and SIGTERM raise. A second signal ends the process at once, for the case that
    /// the clean end hangs.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals() -> Result<Self, Failure> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag still down.
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

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
