//! Joining the program to an interface: natively where it can be.
//!
//! Owns the link and the choice between native and generic mode. An attachment that the kernel would not
//! drop with the process is refused: a leftover program blackholes the interface.

use aya::programs::Xdp;
use aya::programs::links::FdLink;
use aya::util::KernelVersion;
use nix::net::if_::if_nametoindex;

use super::attach_error::AttachError;

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

    const fn aya(self) -> aya::programs::XdpMode {
        match self {
            Self::Native => aya::programs::XdpMode::Driver,
            Self::Generic => aya::programs::XdpMode::Skb,
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
}

/// A program attached to an interface; dropping it detaches.
pub(super) struct Live {
    pub(super) attachment: Attachment,
    _link: FdLink,
}

/// `xdp.frags` came with 5.18; everything else in use is older.
pub(super) fn check_kernel() -> Result<(), AttachError> {
    match KernelVersion::current() {
        Ok(version) if version < KernelVersion::new(5, 18, 0) => Err(AttachError::too_old()),
        _ => Ok(()),
    }
}

pub(super) fn attach(xdp: &mut Xdp, interface: &str, mode: XdpMode) -> Result<Live, AttachError> {
    let Ok(index) = if_nametoindex(interface) else {
        return Err(AttachError::NoSuchInterface { interface: interface.to_owned() });
    };
    match mode {
        XdpMode::Native => attach_as(xdp, interface, index, AttachedMode::Native),
        XdpMode::Generic => attach_as(xdp, interface, index, AttachedMode::Generic),
        XdpMode::Auto => match attach_as(xdp, interface, index, AttachedMode::Native) {
            Err(error) if error.generic_may_do() => {
                let mut live = attach_as(xdp, interface, index, AttachedMode::Generic)?;
                live.attachment.fallback = Some(error.to_string());
                Ok(live)
            }
            settled => settled,
        },
    }
}

fn attach_as(
    xdp: &mut Xdp,
    interface: &str,
    index: u32,
    mode: AttachedMode,
) -> Result<Live, AttachError> {
    let refused = |error| AttachError::from_attach(error, interface, mode);
    let id = xdp.attach_to_if_index(index, mode.aya()).map_err(refused)?;
    let link = xdp.take_link(id).map_err(refused)?;
    // Without BPF links aya attaches by netlink, which outlives the process. Its link, dropped here,
    // detaches.
    let link = FdLink::try_from(link).map_err(|_| AttachError::too_old())?;
    let attachment = Attachment { interface: interface.to_owned(), index, mode, fallback: None };
    Ok(Live { attachment, _link: link })
}
