//! The hold of a stack on a network interface: its XDP program and the settings of the NIC.

use std::net::{IpAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::StartError;
use super::housekeeping::ClaimAddress;
use super::nic::{OffloadGuard, RssGuard};
use crate::link::xsk::Bound;
use crate::wire::ndp;
use crate::xdp::{Attachment, Program};

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
    pub(super) fn claim_address(&mut self) -> ClaimAddress {
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

    pub(super) fn release(&mut self) {
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
