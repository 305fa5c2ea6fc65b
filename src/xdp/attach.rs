//! Joining the program to an interface: natively where it can be.
//!
//! Owns the link and the choice between native and generic mode. It is always a BPF link, which the kernel drops with
//! the process: a program that is left over blackholes the interface.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::programs::Xdp;
use aya::sys::SyscallError;
use aya::util::KernelVersion;
use nix::net::if_::if_nametoindex;

use super::attach_error::AttachError;
use super::bpf;
use super::hints::Hints;

/// Which way of running the program is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// Native where the driver can, else generic.
    #[default]
    Auto,
    /// In the driver, before an skb is made.
    Native,
    /// In the kernel's receive path, for any driver.
    Generic,
}

/// Which way of running the program was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedMode {
    /// In the driver.
    Native,
    /// In the kernel's receive path.
    Generic,
}

impl AttachedMode {
    /// The name used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// linux/if_link.h, `XDP_FLAGS_DRV_MODE` and `XDP_FLAGS_SKB_MODE`.
    const fn flags(self) -> u32 {
        match self {
            Self::Native => 1 << 2,
            Self::Generic => 1 << 1,
        }
    }
}

/// Where and how the program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface's name when it was attached.
    pub interface: String,
    /// The interface's index.
    pub index: u32,
    /// How the program runs.
    pub mode: AttachedMode,
    /// Why it is not native, where [`XdpMode::Auto`] had to fall back.
    pub fallback: Option<String>,
    /// What frames bring beside their bytes.
    pub hints: Hints,
    /// Why they do not bring what the driver could tell and was asked for.
    pub no_hints: Option<String>,
}

/// A program attached to an interface; dropping it detaches.
pub(super) struct Live {
    pub(super) attachment: Attachment,
    pub(super) link: OwnedFd,
}

/// `xdp.frags` came with 5.18; everything else in use is older.
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
            Err(error) if error.generic_may_do() => {
                let mut live = attach_as(program, interface, index, AttachedMode::Generic)?;
                live.attachment.fallback = Some(error.to_string());
                Ok(live)
            }
            settled => settled,
        },
    }
}

fn attach_as(
    program: BorrowedFd<'_>,
    interface: &str,
    index: u32,
    mode: AttachedMode,
) -> Result<Live, AttachError> {
    let link = bpf::create_link(program, index, mode.flags()).map_err(|io_error| {
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
