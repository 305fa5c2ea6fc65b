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
//! The program claims from the kernel, by policy:
//!
//! - [`Role::Exclusive`]: packets to a claimed address with TCP, ICMP or ICMPv6; ARP and neighbour
//!   solicitations for it.
//! - [`Role::Shared`]: packets to a claimed address with TCP to a claimed port, or with an ICMP
//!   error that quotes TCP from a claimed address and port.

mod attach;
mod attach_error;
mod bpf;
mod claims;
mod counters;
mod drivers;
mod ethtool;
mod features;
mod hints;
mod hints_program;
mod kfuncs;
mod layout;
mod link;
mod locality;
mod maps;
mod mode;
mod netlink;

mod probe;
mod program;

pub use crate::role::Role;
pub use attach::Attachment;
pub use attach_error::AttachError;
pub use claims::{Fragments, Policy, Routers, SteerError};
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
pub use program::{Program, QUEUES_MAX, TestRun};
