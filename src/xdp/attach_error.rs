//! Why the program could not be loaded or attached: the kernel's answers sorted by cause.
//!
//! Owns the reading of error numbers. Drivers differ in the number they give for the same cause, so
//! what only may be the cause is said so.

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::{ProgramError, XdpError};

use super::attach::AttachedMode;
use super::claims::errno;

/// The program is not on the interface, and why.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The name is wrong.
    #[error(
        "attaching the XDP program to {interface}: there is no such interface in this network \
         namespace; `ip link` lists those there are (ip netns exec NS ... starts in another namespace)"
    )]
    NoSuchInterface {
        /// The name asked for.
        interface: String,
    },
    /// The process may not.
    #[error(
        "{tried}: no permission; run as root, or with CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON and CAP_NET_RAW \
         (setcap cap_net_admin,cap_bpf,cap_perfmon,cap_net_raw+ep on the binary)"
    )]
    NoPrivilege {
        /// What was being done.
        tried: String,
    },
    /// Another program is there.
    #[error(
        "attaching the XDP program to {interface}: another one is attached already; \
         `ip link show {interface}` and `bpftool net` show it. Stop the process that holds it, or take it \
         off with `ip link set {interface} xdp off`"
    )]
    Busy {
        /// The interface.
        interface: String,
    },
    /// The driver's buffers for XDP are smaller.
    #[error(
        "attaching the XDP program to {interface} in native mode: the driver refuses MTU {mtu} (on a \
         veth pair, that of the peer counts); lower it with `ip link set {interface} mtu 1500`, or use \
         generic mode"
    )]
    MtuTooLarge {
        /// The interface.
        interface: String,
        /// Its MTU.
        mtu: u32,
    },
    /// The driver needs more.
    #[error(
        "attaching the XDP program to {interface} in native mode: the driver has too few queues for it \
         (a veth needs as many rx queues as its peer has tx queues); give it more with \
         `ethtool -L {interface} rx N`, or the peer fewer, or use generic mode"
    )]
    TooFewQueues {
        /// The interface.
        interface: String,
    },
    /// The driver has no XDP, or not with its present settings.
    #[error(
        "attaching the XDP program to {interface} in {} mode: the driver does not support it as it is \
         set up ({reason}); turn LRO off (ethtool -K {interface} lro off), lower the MTU, or use \
         generic mode", mode.name()
    )]
    NotSupported {
        /// The interface.
        interface: String,
        /// The mode refused.
        mode: AttachedMode,
        /// What the kernel said.
        reason: String,
    },
    /// The kernel lacks something that the program needs.
    #[error(
        "loading the XDP program: kernel {release} is too old; it takes 5.18 or newer \
         (frags-aware XDP programs and BPF links)"
    )]
    KernelTooOld {
        /// The kernel's version.
        release: String,
    },
    /// The kernel's verifier found fault.
    #[error(
        "loading the XDP program: the kernel's verifier rejected it ({source}); its last words:\n{log}\n\
         This is a fault of linerate on this kernel: please report it with the output of `uname -a`"
    )]
    Rejected {
        /// The end of the verifier's log.
        log: String,
        /// The error of the system call.
        source: std::io::Error,
    },
    /// The embedded object could not be used.
    #[error(
        "loading the XDP program: the embedded object is not usable: {source}; \
         check that bpf/ was compiled by the clang that scripts/setup installs"
    )]
    Object {
        /// What aya said.
        source: Box<EbpfError>,
    },
    /// Anything else.
    #[error("{tried}: the kernel refused: {source}; `dmesg` may tell more")]
    Kernel {
        /// What was being done.
        tried: String,
        /// What it said.
        source: Box<ProgramError>,
    },
}

impl AttachError {
    /// Whether the cause lies with the driver, which generic mode does not ask.
    pub(super) fn generic_may_do(&self) -> bool {
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
        let tried = "creating the maps of the XDP program";
        if matches!(code, Some(libc::EPERM | libc::EACCES)) {
            return Self::NoPrivilege { tried: tried.to_owned() };
        }
        Self::Kernel { tried: tried.to_owned(), source: Box::new(error.into()) }
    }

    pub(super) fn from_load(error: ProgramError) -> Self {
        let tried = "loading the XDP program";
        match error {
            ProgramError::LoadError { io_error, verifier_log } => match io_error.raw_os_error() {
                // A verifier that got as far as a log answers EACCES too.
                Some(libc::EPERM) => Self::NoPrivilege { tried: tried.to_owned() },
                Some(libc::EACCES) if is_for_lack_of_perfmon(&verifier_log.to_string()) => {
                    Self::NoPrivilege { tried: tried.to_owned() }
                }
                _ => Self::Rejected { log: tail(&verifier_log.to_string()), source: io_error },
            },
            other => Self::Kernel { tried: tried.to_owned(), source: Box::new(other) },
        }
    }

    pub(super) fn from_attach(error: ProgramError, interface: &str, mode: AttachedMode) -> Self {
        let interface = interface.to_owned();
        match attach_errno(&error) {
            Some(libc::EPERM | libc::EACCES) => {
                Self::NoPrivilege { tried: format!("attaching the XDP program to {interface}") }
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
                tried: format!("attaching the XDP program to {interface}"),
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

/// An error with all its causes in one line.
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

/// What the verifier says to whoever lacks CAP_PERFMON of things that it lets others do (kernel/bpf/verifier.c).
fn is_for_lack_of_perfmon(log: &str) -> bool {
    ["pointer comparison prohibited", "prohibited for !root"].iter().any(|it| log.contains(it))
}

/// The verifier says what it minds in its last lines.
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
    fn each_refusal_is_told_by_its_cause() {
        assert!(matches!(refused(libc::EPERM), AttachError::NoPrivilege { .. }));
        assert!(matches!(refused(libc::EBUSY), AttachError::Busy { .. }));
        assert!(matches!(refused(libc::EEXIST), AttachError::Busy { .. }));
        assert!(matches!(refused(libc::ERANGE), AttachError::MtuTooLarge { .. }));
        assert!(matches!(refused(libc::ENOSPC), AttachError::TooFewQueues { .. }));
        assert!(matches!(refused(libc::EOPNOTSUPP), AttachError::NotSupported { .. }));
        assert!(matches!(refused(libc::EIO), AttachError::Kernel { .. }));
    }

    #[test]
    fn generic_mode_is_tried_only_where_the_driver_is_to_blame() {
        for errno in [libc::EOPNOTSUPP, libc::ERANGE, libc::ENOSPC, libc::EINVAL] {
            assert!(refused(errno).generic_may_do());
        }
        for errno in [libc::EPERM, libc::EBUSY, libc::ENODEV] {
            assert!(!refused(errno).generic_may_do());
        }
    }
}
