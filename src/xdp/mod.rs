//! The BPF program that redirects frames to AF_XDP sockets, and queries about interfaces.
//!
//! Owns the program (bpf/linerate.bpf.c), its attachment, the maps that steer it, and the driver
//! queries. Knows nothing about the contents of redirected frames, or about sockets beyond their
//! file descriptor.
//!
//! A [`Program`] is loaded, given its policy and claims, attached, and given sockets, in any order.
//! Traffic that is not claimed passes to the kernel, and so does a queue without a socket. The link
//! to the interface is a file descriptor, so the kernel detaches the program when the process ends
//! for any reason. In an orderly stop, detach it before closing the sockets: [`Program::detach`].
//!
//! Without the feature `xdp` only the queries exist, which need neither aya nor a C compiler.
//!
//! The program claims from the kernel, by policy:
//!
//! - [`Role::Exclusive`]: packets to a claimed address with TCP, ICMP or ICMPv6; ARP and neighbour
//!   solicitations for it.
//! - [`Role::Shared`]: packets to a claimed address with TCP to a claimed port, or with an ICMP
//!   error that quotes TCP from a claimed address and port.

#[cfg(feature = "xdp")]
mod attach;
#[cfg(feature = "xdp")]
mod attach_error;
#[cfg(feature = "xdp")]
mod bpf;
#[cfg(feature = "xdp")]
mod claims;
#[cfg(feature = "xdp")]
mod counters;
mod drivers;
mod ethtool;
mod features;
mod hints;
#[cfg(feature = "xdp")]
mod hints_program;
#[cfg(feature = "xdp")]
mod kfuncs;
#[cfg(feature = "xdp")]
mod layout;
mod link;
mod locality;
#[cfg(feature = "xdp")]
mod maps;
mod mode;
mod netlink;
mod probe;
#[cfg(feature = "xdp")]
mod program;

pub use crate::role::Role;
#[cfg(feature = "xdp")]
pub use attach::Attachment;
#[cfg(feature = "xdp")]
pub use attach_error::AttachError;
#[cfg(feature = "xdp")]
pub use claims::{Fragments, Policy, Routers, SteerError};
#[cfg(feature = "xdp")]
pub use counters::{Counters, Verdict};
pub use drivers::takes_half_pages;
pub use features::XdpFeatures;
pub use hints::Hints;
pub use locality::{Interrupt, Locality, format_cores, locality, parse_cores};
pub use mode::{AttachedMode, XdpMode};
pub use probe::{
    Peer, Probe, ProbeError, Rings, Rss, check_queues, disable_offloads, has_carrier, probe,
    restore_offloads, rss, rx_queues, set_rss_queues, set_rss_table,
};
#[cfg(feature = "xdp")]
pub use program::{Program, QUEUES_MAX, TestRun};
