//! Why a stack did not start: what was tried, what went wrong, what to do.

use std::io;

#[cfg(feature = "pcap")]
use crate::link::pcap::CaptureError;
use crate::link::xsk::OpenError;
use crate::shard::ListenError;
use crate::xdp::{AttachError, ProbeError, SteerError};

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The interface is not as it must be.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A socket could not be opened.
    #[error(transparent)]
    Socket(#[from] OpenError),
    /// The program could not be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The program's maps refused.
    #[error(transparent)]
    Steer(#[from] SteerError),
    /// A listener was refused.
    #[error("listening on port {port}: {error}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        error: ListenError,
    },
    /// A core that this process may not use.
    #[error("pinning a worker to core {core}: this process may use the cores {available:?}")]
    NoSuchCore {
        /// The core asked for.
        core: usize,
        /// Those there are.
        available: Vec<usize>,
    },
    /// An address is the kernel's own, in exclusive mode.
    #[error(
        "taking {address} for the stack: the kernel has that address on this host, and both would \
         answer for it; give a free address of the network, or share it with --mode shared"
    )]
    AddressInUse {
        /// The address.
        address: std::net::IpAddr,
    },
    /// Another station on the link has an address that was to be the stack's.
    #[error(
        "claiming {address} for the stack: address in use by MAC {mac}; give a free address, or take it all \
         the same with --claim off"
    )]
    AddressConflict {
        /// The address.
        address: std::net::IpAddr,
        /// Whose it is.
        mac: String,
    },
    /// An address is not the kernel's, in shared mode.
    #[error(
        "sharing {address} with the kernel: {interface} does not have that address; add it \
         (ip addr add {address} dev {interface}) or use --mode exclusive"
    )]
    AddressNotShared {
        /// The address.
        address: std::net::IpAddr,
        /// The interface.
        interface: String,
    },
    /// Shared mode, and the kernel listens on a port that was to be taken from it.
    #[error(
        "taking TCP port {port} from the kernel: a kernel socket listens on it; stop that service or \
         choose another port"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The capture file could not be created.
    #[cfg(feature = "pcap")]
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The system refused something else.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
}

impl StartError {
    /// For `map_err`: what was tried when the system refused.
    pub(super) fn system<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::System { what, error: error.into() }
    }
}
