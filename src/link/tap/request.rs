//! The ioctls of a TAP device, and all `unsafe` of this link.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Number of queues of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Queueing {
    /// One file descriptor is the device.
    Single,
    /// Each file descriptor is a queue of the device. The kernel sends a flow to the queue on which
    /// it last saw the flow's packets.
    Multiple,
}

/// Turns an open `/dev/net/tun` into a queue of the TAP device `name`, which it creates if there is
/// none. Returns the device's name.
pub(super) fn attach(tun: &impl AsFd, name: &str, queueing: Queueing) -> io::Result<String> {
    let multiple = match queueing {
        Queueing::Single => 0,
        Queueing::Multiple => libc::IFF_MULTI_QUEUE,
    };
    let mut request = named(name)?;
    // The flags fill the lower 13 bits, so that they fit the field.
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | multiple) as libc::c_short;
    call(tun, libc::TUNSETIFF as libc::c_ulong, &mut request)?;
    let bytes = request.ifr_name.iter().map(|c| c.to_ne_bytes()[0]).take_while(|byte| *byte != 0);
    Ok(String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned())
}

/// Returns the MTU of an interface, bytes.
pub(super) fn mtu(interface: &str) -> io::Result<usize> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut request = named(interface)?;
    call(&socket, libc::SIOCGIFMTU as libc::c_ulong, &mut request)?;
    // SAFETY: SIOCGIFMTU has filled this field, and every bit pattern is valid.
    Ok(usize::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or_default())
}

fn call(fd: &impl AsFd, number: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open. Both commands read and write one whole `ifreq`, whose name
    // ends with a zero, and follow no pointer in it.
    let answer = unsafe { libc::ioctl(fd, number as _, std::ptr::from_mut(request)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn named(interface: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain old data, for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let bytes = interface.as_bytes();
    // The last byte stays zero.
    if bytes.is_empty() || bytes.len() >= request.ifr_name.len() || bytes.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_an_mtu_and_a_missing_one_has_none() {
        assert!(mtu("lo").is_ok_and(|mtu| mtu >= 1280));
        for name in ["lr-none", "a-name-longer-than-any-interface-has", ""] {
            assert_eq!(mtu(name).unwrap_err().raw_os_error(), Some(libc::ENODEV), "{name}");
        }
    }
}
