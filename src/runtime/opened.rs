//! The open links of a stack, and what it holds on its interface besides them.

use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::StartError;
use super::housekeeping::ClaimAddress;
use super::steering::{OffloadGuard, RssGuard};
use super::watch::Watch;
use crate::link::Link;
use crate::link::xsk::Bound;
use crate::wire::ndp;
use crate::xdp::{Attachment, Probe, Program};

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
    Xdp(Box<XdpHold>),
    /// Nothing: all frames of a TAP device are the stack's.
    Tap,
}

/// An attached program, and the settings of the NIC that go with it.
pub(super) struct XdpHold {
    pub(super) program: Arc<Mutex<Program>>,
    pub(super) attachment: Option<Attachment>,
    /// The member of the multicast groups of the stack's addresses.
    pub(super) groups: Option<UdpSocket>,
    pub(super) bound: Vec<Bound>,
    pub(super) rss_guard: Option<RssGuard>,
    pub(super) _offload_guard: Option<OffloadGuard>,
}

impl Hold {
    /// Returns what makes an address of autoconfiguration ours.
    pub(super) fn claim_address(&mut self) -> ClaimAddress {
        match self {
            Self::Xdp(held) => held.claim_address(),
            Self::Tap => Box::new(|_| Ok(())),
        }
    }

    /// Lets go of the interface: no frame arrives any more. Call it before the links are closed: a
    /// frame redirected to a closed socket is lost.
    pub(super) fn release(&mut self) {
        if let Self::Xdp(held) = self {
            held.release();
        }
    }
}

impl XdpHold {
    /// Runs `change` on the program.
    pub(super) fn with_program(
        &self,
        change: impl FnOnce(&mut Program) -> Result<(), StartError>,
    ) -> Result<(), StartError> {
        change(&mut self.program.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what makes an address of autoconfiguration ours: the program redirects it, and its
    /// multicast group is joined on the socket that holds the groups of the others.
    fn claim_address(&mut self) -> ClaimAddress {
        let program = Arc::clone(&self.program);
        let index = self.attachment.as_ref().map(|attachment| attachment.index);
        let groups = self.groups.take();
        Box::new(move |address| {
            let mut program = program.lock().unwrap_or_else(PoisonError::into_inner);
            let claimed = program.claim_address(address).map_err(|error| error.to_string());
            if let (IpAddr::V6(address), Some(socket), Some(index)) = (address, &groups, index) {
                // On failure a NIC may filter the group, so that neighbours do not find the
                // address.
                let _ = socket.join_multicast_v6(&ndp::solicited_node(address), index);
            }
            claimed
        })
    }

    fn release(&mut self) {
        self.program.lock().unwrap_or_else(PoisonError::into_inner).detach();
        // After the program: some drivers remove queues of their own with it.
        self.rss_guard = None;
    }
}

impl Drop for XdpHold {
    fn drop(&mut self) {
        self.release();
    }
}
