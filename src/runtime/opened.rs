//! The open links of a stack, and what it holds on its interface besides them.

use super::claim::ApplyClaim;
use super::watch::Watch;
#[cfg(feature = "xdp")]
use super::xdp_hold::XdpHold;
use crate::link::Link;
use crate::xdp::Probe;

/// Ethernet header with one VLAN tag.
pub(super) const ETHERNET_MAX: usize = 18;

/// The open links of the workers.
pub(super) struct Opened {
    pub(super) links: Vec<Box<dyn Link + Send>>,
    pub(super) hold: Hold,
    /// The interface, as it is now.
    pub(super) probe: Probe,
    /// The stack's Ethernet address.
    pub(super) mac: [u8; 6],
    /// Longest packet at the present MTU of the interface that all links carry, bytes.
    pub(super) mtu: usize,
    /// Longest packet that all links carry at any MTU, bytes.
    pub(super) mtu_max: usize,
    /// Frames come with the time of their arrival.
    pub(super) stamped: bool,
    pub(super) notes: Vec<String>,
}

impl Opened {
    /// Returns the length of the longest frame at the present MTU, bytes.
    pub(super) const fn frame_max(&self) -> usize {
        self.probe.mtu as usize + ETHERNET_MAX
    }

    /// Returns what detects changes of the interface, on which the workers have `queues`.
    pub(super) fn watch(&self, queues: &[u32]) -> Watch {
        Watch::new(self.probe.clone(), queues, self.mtu_max)
    }
}

/// The hold of a stack on its interface, besides the links.
pub(super) enum Hold {
    /// An XDP program.
    #[cfg(feature = "xdp")]
    Xdp(Box<XdpHold>),
    /// Nothing: all frames of a TAP device are the stack's.
    Tap,
}

impl Hold {
    /// Returns what steers the traffic of addresses and ports that are claimed at run time.
    pub(super) fn apply_claims(&mut self) -> ApplyClaim {
        match self {
            #[cfg(feature = "xdp")]
            Self::Xdp(held) => held.apply_claims(),
            Self::Tap => Box::new(|_| Ok(())),
        }
    }

    /// Lets go of the interface: no frame arrives any more. Call it before the links are closed: a
    /// frame redirected to a closed socket is lost.
    pub(super) fn release(&mut self) {
        match self {
            #[cfg(feature = "xdp")]
            Self::Xdp(held) => held.release(),
            Self::Tap => {}
        }
    }
}
