//! Opening the queues of a TAP device.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;

use super::error::OpenError;
use super::request::{self, Queueing};

/// The door to TAP devices.
const TUN: &str = "/dev/net/tun";

/// Longest name of an interface, bytes (IFNAMSIZ of linux/if.h, less the final zero).
const NAME_MAX: usize = 15;

/// The open queues of a device.
pub(super) struct Device {
    /// As the kernel chose it, where the configured name has a `%d`.
    pub(super) name: String,
    pub(super) mtu: usize,
    pub(super) queues: Vec<OwnedFd>,
}

/// Opens `queues` queues of the device `name`.
pub(super) fn open(name: &str, queues: usize) -> Result<Device, OpenError> {
    let is_bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0';
    if !(1..=NAME_MAX).contains(&name.len()) || name.contains(is_bad) {
        return Err(OpenError::BadName { name: name.to_owned() });
    }
    let queueing = if queues > 1 { Queueing::Multiple } else { Queueing::Single };
    let mut device = Device { name: name.to_owned(), mtu: 0, queues: Vec::new() };
    for _ in 0..queues.max(1) {
        let tun = open_tun().map_err(|cause| OpenError::of_open(name, cause))?;
        // The first queue fixes the name; the others join the device of that name.
        device.name = request::attach(&tun, &device.name, queueing)
            .map_err(|cause| OpenError::of_create(&device.name, cause))?;
        device.queues.push(tun.into());
    }
    device.mtu = request::mtu(&device.name)
        .map_err(|cause| OpenError::other(&device.name, "reading its MTU", cause))?;
    Ok(device)
}

fn open_tun() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(TUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_interface_can_have_is_refused_before_the_kernel_is_asked() {
        for name in ["", "a/b", "a b", "eth0:1", "sixteen-bytes-xx"] {
            let error = open(name, 1).err().expect(name);
            assert!(matches!(error, OpenError::BadName { .. }), "{error}");
        }
    }
}
