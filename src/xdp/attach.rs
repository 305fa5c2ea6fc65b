//! Attaches the program to an interface, in native mode if possible.
//!
//! Owns the link and the choice between native and generic mode. The attachment is always a BPF
//! link, which the kernel removes when the process ends: a leftover program would blackhole the
//! interface.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::programs::Xdp;
use aya::sys::SyscallError;
use aya::util::KernelVersion;
use nix::net::if_::if_nametoindex;

use super::attach_error::AttachError;
use super::bpf;
use super::hints::Hints;
use super::mode::{AttachedMode, XdpMode};

/// Interface and mode of an attached program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Name of the interface at the time of attaching.
    pub interface: String,
    /// Index of the interface.
    pub index: u32,
    /// Mode of the program.
    pub mode: AttachedMode,
    /// Reason for generic mode if [`XdpMode::Auto`] fell back.
    pub fallback: Option<String>,
    /// Metadata that frames carry.
    pub hints: Hints,
    /// Reason that frames lack metadata which was requested and which the driver provides.
    pub no_hints: Option<String>,
}

/// A program attached to an interface. Dropping it detaches the program.
pub(super) struct Live {
    pub(super) attachment: Attachment,
    pub(super) link: OwnedFd,
}

/// Checks the kernel version. `xdp.frags` needs 5.18; everything else in use is older.
pub(super) fn check_kernel() -> Result<(), AttachError> {
    match KernelVersion::current() {
        Ok(version) if version < KernelVersion::new(5, 18, 0) => Err(AttachError::too_old()),
        _ => Ok(()),
    }
}

pub(super) fn attach(xdp: &Xdp, interface: &str, mode: XdpMode) -> Result<Live, AttachError> {
    let Ok(index) = if_nametoindex(interface) else {
        return Err(AttachError::NoSuchInterface { interface: interface.to_owned() });
    };
    let program = xdp.fd().map_err(AttachError::from_load)?.as_fd();
    match mode {
        XdpMode::Native => attach_as(program, interface, index, AttachedMode::Native),
        XdpMode::Generic => attach_as(program, interface, index, AttachedMode::Generic),
        XdpMode::Auto => match attach_as(program, interface, index, AttachedMode::Native) {
            Err(error) if error.generic_may_work() => {
                let mut live = attach_as(program, interface, index, AttachedMode::Generic)?;
                live.attachment.fallback = Some(error.to_string());
                Ok(live)
            }
            result => result,
        },
    }
}

fn attach_as(
    program: BorrowedFd<'_>,
    interface: &str,
    index: u32,
    mode: AttachedMode,
) -> Result<Live, AttachError> {
    let link = bpf::create_link(program, index, flags(mode)).map_err(|io_error| {
        let refused = SyscallError { call: "bpf_link_create", io_error };
        AttachError::from_attach(refused.into(), interface, mode)
    })?;
    let attachment = Attachment {
        interface: interface.to_owned(),
        index,
        mode,
        fallback: None,
        hints: Hints::default(),
        no_hints: None,
    };
    Ok(Live { attachment, link })
}

/// linux/if_link.h, `XDP_FLAGS_DRV_MODE` and `XDP_FLAGS_SKB_MODE`.
const fn flags(mode: AttachedMode) -> u32 {
    match mode {
        AttachedMode::Native => 1 << 2,
        AttachedMode::Generic => 1 << 1,
    }
}
