//! The hold of a stack on a network interface: its XDP program and the settings of the NIC.

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use super::claim::{ApplyClaim, Claim};
use super::error::StartError;
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
    /// The addresses of the kernel that the stack uses too; none in exclusive mode.
    pub(super) shared_addresses: Vec<IpAddr>,
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

    /// Returns what steers the traffic of addresses and ports that are claimed at run time. An
    /// address also joins its multicast group, on the socket that holds the groups of the others.
    pub(super) fn apply_claims(&mut self) -> ApplyClaim {
        let program = Arc::clone(&self.program);
        let index = self.attachment.as_ref().map(|attachment| attachment.index);
        let groups = self.groups.take();
        let shared = self.shared_addresses.clone();
        Box::new(move |claim| {
            let mut program = program.lock().unwrap_or_else(PoisonError::into_inner);
            match claim {
                Claim::Address(address) => {
                    let claimed = program.claim_address(address);
                    if let (IpAddr::V6(address), Some(socket), Some(index)) =
                        (address, &groups, index)
                    {
                        // On failure a NIC may filter the group, so that neighbours do not find the
                        // address.
                        let _ = socket.join_multicast_v6(&ndp::solicited_node(address), index);
                    }
                    claimed.map_err(|error| error.to_string())
                }
                // In exclusive mode every port of the addresses is the stack's.
                Claim::Port(_) | Claim::ReleasePort(_) if shared.is_empty() => Ok(()),
                Claim::Port(port) => {
                    if shared.iter().any(|address| is_in_use(*address, port)) {
                        return Err("the kernel listens on it already".to_owned());
                    }
                    program.claim_ports(port..=port).map_err(|error| error.to_string())
                }
                Claim::ReleasePort(port) => {
                    program.unclaim_ports(port..=port).map_err(|error| error.to_string())
                }
            }
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

/// Returns true if a socket of the kernel listens on the address and port.
fn is_in_use(address: IpAddr, port: u16) -> bool {
    TcpListener::bind((address, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}
