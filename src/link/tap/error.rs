//! Errors of opening a TAP device and of bringing up the kernel's side, by cause, with a remedy.

use std::io;
use std::net::IpAddr;

/// Reason that a TAP device could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name is not one of an interface.
    #[error(
        "cannot open a TAP device named `{name}`: a name has 1 to 15 bytes, without `/`, `:` and \
         spaces"
    )]
    BadName {
        /// The requested name.
        name: String,
    },
    /// The kernel offers no TAP devices here.
    #[error(
        "cannot open a TAP device: there is no /dev/net/tun: load it (`modprobe tun`); a container \
         needs it passed in (`--device /dev/net/tun`)"
    )]
    NoTun,
    /// The user may not open `/dev/net/tun`.
    #[error(
        "cannot open a TAP device: no permission to open /dev/net/tun: its usual mode lets \
         everyone (`chmod 666 /dev/net/tun`); or run as root"
    )]
    NoAccess,
    /// The process lacks the privilege in this network namespace.
    #[error(
        "no permission to create the TAP device `{name}` in this network namespace: run inside a \
         namespace of your own (`unshare -rn COMMAND`), or as root"
    )]
    NoPrivilege {
        /// The requested name.
        name: String,
    },
    /// Another program is attached to the device.
    #[error(
        "the TAP device `{name}` is in use by another program: stop it, or choose another name"
    )]
    InUse {
        /// The requested name.
        name: String,
    },
    /// An interface of another kind has the name.
    #[error(
        "cannot open `{name}`: an interface of that name exists and is no TAP device with as many \
         queues: choose another name, or remove it (`ip link del {name}`)"
    )]
    OtherKind {
        /// The requested name.
        name: String,
    },
    /// Any other error.
    #[error("cannot open the TAP device `{name}`: {step}: {cause}")]
    Other {
        /// The requested name.
        name: String,
        /// Operation that failed.
        step: &'static str,
        /// The kernel's error.
        cause: io::Error,
    },
}

impl OpenError {
    pub(super) fn of_open(name: &str, cause: io::Error) -> Self {
        match cause.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Self::NoTun,
            Some(libc::EACCES | libc::EPERM) => Self::NoAccess,
            _ => Self::other(name, "opening /dev/net/tun", cause),
        }
    }

    pub(super) fn of_create(name: &str, cause: io::Error) -> Self {
        let owned = name.to_owned();
        match cause.raw_os_error() {
            Some(libc::EPERM) => Self::NoPrivilege { name: owned },
            Some(libc::EBUSY) => Self::InUse { name: owned },
            Some(libc::EINVAL) => Self::OtherKind { name: owned },
            _ => Self::other(name, "creating it (TUNSETIFF)", cause),
        }
    }

    pub(super) fn other(name: &str, step: &'static str, cause: io::Error) -> Self {
        Self::Other { name: name.to_owned(), step, cause }
    }
}

/// Reason that the kernel's side of a TAP device could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BringUpError {
    /// The interface does not exist in this network namespace.
    #[error("cannot bring up `{interface}`: no such interface; `ip link` lists them")]
    NoInterface {
        /// The interface.
        interface: String,
    },
    /// The process lacks the privilege in this network namespace.
    #[error(
        "no permission to bring up `{interface}`: run inside a namespace of your own (`unshare -rn \
         COMMAND`), or as root"
    )]
    NoPrivilege {
        /// The interface.
        interface: String,
    },
    /// IPv6 is disabled on the interface.
    #[error(
        "cannot give {address} to the kernel on `{interface}`: IPv6 is disabled there: `sysctl \
         net.ipv6.conf.{interface}.disable_ipv6=0`, or use IPv4"
    )]
    NoIpv6 {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// The kernel refused an address.
    #[error("cannot give {address}/{prefix} to the kernel on `{interface}`: {cause}")]
    Address {
        /// The interface.
        interface: String,
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// The kernel's error.
        cause: io::Error,
    },
    /// Any other error.
    #[error("cannot bring up `{interface}`: {cause}")]
    Other {
        /// The interface.
        interface: String,
        /// The kernel's error.
        cause: io::Error,
    },
}

impl BringUpError {
    pub(super) fn of_link(interface: &str, cause: io::Error) -> Self {
        let interface = interface.to_owned();
        match cause.raw_os_error() {
            Some(libc::ENODEV) => Self::NoInterface { interface },
            Some(libc::EPERM) => Self::NoPrivilege { interface },
            _ => Self::Other { interface, cause },
        }
    }

    pub(super) fn of_address(
        interface: &str,
        (address, prefix): (IpAddr, u8),
        cause: io::Error,
    ) -> Self {
        let owned = interface.to_owned();
        match cause.raw_os_error() {
            Some(libc::EACCES | libc::EOPNOTSUPP) if address.is_ipv6() => {
                Self::NoIpv6 { interface: owned, address }
            }
            Some(libc::ENODEV | libc::EPERM) => Self::of_link(interface, cause),
            _ => Self::Address { interface: owned, address, prefix, cause },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: i32) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    #[test]
    fn every_error_includes_a_remedy() {
        let v6 = (IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, 1]), 64);
        let texts = [
            (OpenError::of_open("tap7", os(libc::ENOENT)).to_string(), "modprobe tun"),
            (OpenError::of_open("tap7", os(libc::EACCES)).to_string(), "chmod 666"),
            (OpenError::of_open("tap7", os(libc::EMFILE)).to_string(), "opening /dev/net/tun: "),
            (OpenError::of_create("tap7", os(libc::EPERM)).to_string(), "unshare -rn"),
            (OpenError::of_create("tap7", os(libc::EBUSY)).to_string(), "`tap7` is in use"),
            (OpenError::of_create("tap7", os(libc::EINVAL)).to_string(), "ip link del tap7"),
            (BringUpError::of_link("tap7", os(libc::EPERM)).to_string(), "unshare -rn"),
            (BringUpError::of_link("tap7", os(libc::ENODEV)).to_string(), "`ip link` lists"),
            (BringUpError::of_address("tap7", v6, os(libc::EACCES)).to_string(), "tap7.disable_ip"),
            (BringUpError::of_address("tap7", v6, os(libc::EINVAL)).to_string(), "fd00::1/64"),
        ];
        for (text, advice) in texts {
            assert!(text.contains(advice), "{text}");
        }
    }
}
