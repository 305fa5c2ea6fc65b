//! The two kinds of link that a stack runs on, each in a file of its own: AF_XDP, a TAP device.

#[cfg(feature = "xdp")]
use super::attach;
use super::config::{LinkKind, StackConfig};
use super::error::StartError;
#[cfg(not(feature = "xdp"))]
use super::no_attach as attach;
use super::opened::Opened;
use super::setup::Plan;
use super::tap;
use super::tap_config::TapConfig;

/// The interface that a configuration names, before anything is changed on it.
pub(super) enum Interface<'a> {
    /// It exists, in this state.
    Xdp(Box<attach::Found>),
    /// The stack creates it.
    Tap(&'a TapConfig),
}

impl<'a> Interface<'a> {
    /// Checks that a stack can run on the interface.
    pub(super) fn find(config: &'a StackConfig) -> Result<Self, StartError> {
        match &config.link {
            LinkKind::Xdp => Ok(Self::Xdp(Box::new(attach::find(config)?))),
            LinkKind::Tap(tap) => {
                tap::check(config)?;
                Ok(Self::Tap(tap))
            }
        }
    }

    /// Opens a link for each worker.
    pub(super) fn open(self, plan: &Plan<'_>) -> Result<Opened, StartError> {
        match self {
            Self::Xdp(found) => attach::open(plan, *found),
            Self::Tap(config) => tap::open(plan, config),
        }
    }
}

/// Makes the frames of the stack's addresses arrive.
pub(super) fn claim(plan: &Plan<'_>, opened: &mut Opened) -> Result<(), StartError> {
    match &plan.config.link {
        LinkKind::Xdp => attach::claim(plan, opened),
        LinkKind::Tap(_) => Ok(()),
    }
}
