//! Errors of loading or attaching the program: the kernel's errors sorted by cause.
//!
//! Owns the interpretation of error numbers. Drivers return different numbers for the same cause,
//! so a message says if the cause is only likely.

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::{ProgramError, XdpError};

use super::maps::errno;
use super::mode::AttachedMode;

/// Reason that the program is not attached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The interface does not exist.
    #[error(
        "attaching the XDP program to {interface}: no such interface in this network namespace; \
         `ip link` lists them (`ip netns exec NS ...` runs in another namespace)"
    )]
    NoSuchInterface {
        /// The requested name.
        interface: String,
    },
    /// The process lacks the privilege.
    #[error(
        "{operation}: no permission; run as root, or with CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON and \
         CAP_NET_RAW (setcap cap_net_admin,cap_bpf,cap_perfmon,cap_net_raw+ep on the binary)"
    )]
    NoPrivilege {
        /// Operation that failed.
        operation: String,
    },
    /// Another program is attached.
    #[error(
        "attaching the XDP program to {interface}: another program is already attached; \
         `ip link show {interface}` and `bpftool net` show it. Stop the process that holds it, \
         or detach it with `ip link set {interface} xdp off`"
    )]
    Busy {
        /// The interface.
        interface: String,
    },
    /// The MTU exceeds the driver's buffers for XDP.
    #[error(
        "attaching the XDP program to {interface} in native mode: the driver rejects MTU {mtu} (on \
         a veth pair, the MTU of the peer counts); lower it with \
         `ip link set {interface} mtu 1500`, or use generic mode"
    )]
    MtuTooLarge {
        /// The interface.
        interface: String,
        /// MTU of the interface.
        mtu: u32,
    },
    /// The driver needs more queues.
    #[error(
        "attaching the XDP program to {interface} in native mode: the driver has too few queues \
         (a veth needs as many RX queues as its peer has TX queues); add queues with \
         `ethtool -L {interface} rx N`, remove some from the peer, or use generic mode"
    )]
    TooFewQueues {
        /// The interface.
        interface: String,
    },
    /// The driver does not support XDP, or not with its current settings.
    #[error(
        "attaching the XDP program to {interface} in {} mode: the driver does not support it with \
         its current settings ({reason}); disable LRO (ethtool -K {interface} lro off), lower the \
         MTU, or use generic mode", mode.name()
    )]
    NotSupported {
        /// The interface.
        interface: String,
        /// The rejected mode.
        mode: AttachedMode,
        /// The kernel's error.
        reason: String,
    },
    /// The kernel lacks a required feature.
    #[error(
        "loading the XDP program: kernel {release} is too old; 5.18 or newer is required \
         (frags-aware XDP programs and BPF links)"
    )]
    KernelTooOld {
        /// Version of the kernel.
        release: String,
    },
    /// The kernel's verifier rejected the program.
    #[error(
        "loading the XDP program: the kernel's verifier rejected it ({source}); its log ends \
         with:\n{log}\n\
         This is a bug of linerate on this kernel: please report it with the output of `uname -a`"
    )]
    Rejected {
        /// The end of the verifier's log.
        log: String,
        /// The error of the system call.
        source: std::io::Error,
    },
    /// The embedded object is invalid.
    #[error(
        "loading the XDP program: the embedded object is invalid: {source}; \
         check that bpf/ was compiled by the clang that scripts/setup installs"
    )]
    Object {
        /// The error of aya.
        source: Box<EbpfError>,
    },
    /// Any other error.
    #[error("{operation}: the kernel returned an error: {source}; see `dmesg` for details")]
    Kernel {
        /// Operation that failed.
        operation: String,
        /// The kernel's error.
        source: Box<ProgramError>,
    },
}

impl AttachError {
    /// Returns true if the driver is the cause, so that generic mode may work.
    pub(super) fn generic_may_work(&self) -> bool {
        matches!(
            self,
            Self::MtuTooLarge { .. }
                | Self::TooFewQueues { .. }
                | Self::NotSupported { .. }
                | Self::Kernel { .. }
        )
    }

    pub(super) fn too_old() -> Self {
        let release = nix::sys::utsname::uname()
            .map(|name| name.release().to_string_lossy().into_owned())
            .unwrap_or_default();
        Self::KernelTooOld { release }
    }

    pub(super) fn from_object(error: EbpfError) -> Self {
        match error {
            EbpfError::MapError(error) => Self::from_map(error),
            EbpfError::ProgramError(error) => Self::from_load(error),
            other => Self::Object { source: Box::new(other) },
        }
    }

    pub(super) fn from_map(error: MapError) -> Self {
        let code = match &error {
            MapError::CreateError { io_error, .. } => io_error.raw_os_error(),
            other => errno(other),
        };
        let operation = "creating the maps of the XDP program".to_owned();
        if matches!(code, Some(libc::EPERM | libc::EACCES)) {
            return Self::NoPrivilege { operation };
        }
        Self::Kernel { operation, source: Box::new(error.into()) }
    }

    pub(super) fn from_load(error: ProgramError) -> Self {
        let operation = "loading the XDP program".to_owned();
        match error {
            ProgramError::LoadError { io_error, verifier_log } => match io_error.raw_os_error() {
                // EACCES may also come from the verifier, with a log.
                Some(libc::EPERM) => Self::NoPrivilege { operation },
                Some(libc::EACCES) if lacks_perfmon(&verifier_log.to_string()) => {
                    Self::NoPrivilege { operation }
                }
                _ => Self::Rejected { log: tail(&verifier_log.to_string()), source: io_error },
            },
            other => Self::Kernel { operation, source: Box::new(other) },
        }
    }

    pub(super) fn from_attach(error: ProgramError, interface: &str, mode: AttachedMode) -> Self {
        let interface = interface.to_owned();
        match attach_errno(&error) {
            Some(libc::EPERM | libc::EACCES) => {
                Self::NoPrivilege { operation: format!("attaching the XDP program to {interface}") }
            }
            Some(libc::ENODEV) => Self::NoSuchInterface { interface },
            Some(libc::EBUSY | libc::EEXIST) => Self::Busy { interface },
            Some(libc::ERANGE) => {
                let mtu = super::ethtool::mtu(&interface).unwrap_or_default();
                Self::MtuTooLarge { interface, mtu }
            }
            Some(libc::ENOSPC | libc::ENOMEM) => Self::TooFewQueues { interface },
            Some(libc::EOPNOTSUPP | libc::EINVAL) => {
                Self::NotSupported { interface, mode, reason: chain(&error) }
            }
            _ => Self::Kernel {
                operation: format!("attaching the XDP program to {interface}"),
                source: Box::new(error),
            },
        }
    }
}

fn attach_errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(call) => call.io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(netlink)) => netlink.raw_os_error(),
        ProgramError::NetlinkError(netlink) => netlink.raw_os_error(),
        _ => None,
    }
}

/// Formats an error and all its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// Returns true if the verifier's log shows a restriction that only applies without CAP_PERFMON
/// (kernel/bpf/verifier.c).
fn lacks_perfmon(log: &str) -> bool {
    ["pointer comparison prohibited", "prohibited for !root"].iter().any(|it| log.contains(it))
}

/// Returns the last lines of a verifier log, which state the reason.
fn tail(log: &str) -> String {
    const LINES: usize = 12;
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let log: String = (0..40).map(|line| format!("line {line}\n\n")).collect();
        let tail = tail(&log);
        assert!(tail.starts_with("line 28\n") && tail.ends_with("line 39"), "{tail}");
        assert_eq!(super::tail("short"), "short");
    }

    fn refused(errno: i32) -> AttachError {
        let io_error = std::io::Error::from_raw_os_error(errno);
        let call = aya::sys::SyscallError { call: "bpf_link_create", io_error };
        AttachError::from_attach(call.into(), "none0", AttachedMode::Native)
    }

    #[test]
    fn each_error_is_classified_by_its_cause() {
        assert!(matches!(refused(libc::EPERM), AttachError::NoPrivilege { .. }));
        assert!(matches!(refused(libc::EBUSY), AttachError::Busy { .. }));
        assert!(matches!(refused(libc::EEXIST), AttachError::Busy { .. }));
        assert!(matches!(refused(libc::ERANGE), AttachError::MtuTooLarge { .. }));
        assert!(matches!(refused(libc::ENOSPC), AttachError::TooFewQueues { .. }));
        assert!(matches!(refused(libc::EOPNOTSUPP), AttachError::NotSupported { .. }));
        assert!(matches!(refused(libc::EIO), AttachError::Kernel { .. }));
    }

    #[test]
    fn generic_mode_is_tried_only_if_the_driver_is_the_cause() {
        for errno in [libc::EOPNOTSUPP, libc::ERANGE, libc::ENOSPC, libc::EINVAL] {
            assert!(refused(errno).generic_may_work());
        }
        for errno in [libc::EPERM, libc::EBUSY, libc::ENODEV] {
            assert!(!refused(errno).generic_may_work());
        }
    }
}
