//! The place of `attach` in a build without AF_XDP: no interface can carry a stack.

use super::config::StackConfig;
use super::error::StartError;
use super::opened::Opened;
use super::setup::Plan;

/// An interface that can carry a stack: none.
pub(super) enum Found {}

/// Refuses the interface.
pub(super) fn find(config: &StackConfig) -> Result<Found, StartError> {
    Err(StartError::NoXdp { interface: config.interface.clone() })
}

/// Opens nothing.
pub(super) fn open(_: &Plan<'_>, found: Found) -> Result<Opened, StartError> {
    match found {}
}

/// Claims nothing: there is no program.
pub(super) fn claim(_: &Plan<'_>, _: &mut Opened) -> Result<(), StartError> {
    Ok(())
}
