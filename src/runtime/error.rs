//! The errors of [`Stack::start`](super::Stack::start): what was tried, why it failed, what to do.

use std::io;

#[cfg(feature = "pcap")]
use crate::link::pcap::CaptureError;
use crate::link::tap;
#[cfg(feature = "xdp")]
use crate::link::xsk::OpenError;
use crate::shard::ListenError;
use crate::xdp::ProbeError;
#[cfg(feature = "xdp")]
use crate::xdp::{AttachError, SteerError};

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The interface is unsuitable.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A socket could not be opened.
    #[cfg(feature = "xdp")]
    #[error(transparent)]
    Socket(#[from] OpenError),
    /// The TAP device could not be opened.
    #[error(transparent)]
    Tap(#[from] tap::OpenError),
    /// The kernel's side of the TAP device could not be brought up.
    #[error(transparent)]
    BringUp(#[from] tap::BringUpError),
    /// AF_XDP, in a build without it.
    #[cfg(not(feature = "xdp"))]
    #[error(
        "starting on the interface `{interface}`: this program was built without AF_XDP; build it \
         with the feature `xdp`, or use a TAP device"
    )]
    NoXdp {
        /// The interface.
        interface: String,
    },
    /// Addresses shared with the kernel on a TAP device.
    #[error(
        "sharing addresses with the kernel on the TAP device `{interface}`: the kernel is at its \
         other end, and has addresses of its own there; use --mode exclusive"
    )]
    TapShared {
        /// The device.
        interface: String,
    },
    /// The program could not be attached.
    #[cfg(feature = "xdp")]
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The maps of the program refused an entry.
    #[cfg(feature = "xdp")]
    #[error(transparent)]
    Steer(#[from] SteerError),
    /// A listener was refused.
    #[error("listening on port {port}: {error}")]
    Listen {
        /// The port.
        port: u16,
        /// The cause.
        error: ListenError,
    },
    /// A core that this process may not use.
    #[error("pinning a worker to core {core}: this process may use the cores {available:?}")]
    NoSuchCore {
        /// The configured core.
        core: usize,
        /// The cores that this process may use.
        available: Vec<usize>,
    },
    /// In exclusive mode: the kernel has one of the addresses.
    #[error(
        "taking {address} for the stack: the kernel has that address on this host, and both would \
         answer for it; give a free address of the network, or share it with --mode shared"
    )]
    AddressInUse {
        /// The address.
        address: std::net::IpAddr,
    },
    /// Another host on the link has one of the addresses.
    #[error(
        "claiming {address} for the stack: address in use by MAC {mac}; give a free address, or \
         skip the check with --claim off"
    )]
    AddressConflict {
        /// The address.
        address: std::net::IpAddr,
        /// The other host's Ethernet address.
        mac: String,
    },
    /// In shared mode: the kernel does not have one of the addresses.
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
    /// In shared mode: the kernel listens on one of the ports.
    #[error(
        "taking TCP port {port} from the kernel: a kernel socket listens on it; stop that service \
         or choose another port"
    )]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The capture file could not be created.
    #[cfg(feature = "pcap")]
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Another system call failed.
    #[error("{what}: {error}")]
    System {
        /// The attempt.
        what: &'static str,
        /// The cause.
        error: io::Error,
    },
}

impl StartError {
    /// Makes an argument for `map_err`; `what` names the attempt.
    pub(super) fn system<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Self {
        move |error| Self::System { what, error: error.into() }
    }
}
