//! Requests to steer more traffic to the stack, or less, while it runs.

use std::net::IpAddr;

/// A change of the traffic that the stack gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// An address of autoconfiguration.
    Address(IpAddr),
    /// A port that a service listens on, in shared mode.
    Port(u16),
    /// A port that no service listens on any more.
    ReleasePort(u16),
}

/// Applies a claim; `Err` is the cause of its refusal.
pub(super) type ApplyClaim = Box<dyn FnMut(Claim) -> Result<(), String> + Send>;
