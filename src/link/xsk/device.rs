//! Kernel information about an interface, as far as sizes and error messages need it.

use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// ETHTOOL_GCHANNELS and ETHTOOL_GRINGPARAM of linux/ethtool.h.
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GRINGPARAM: u32 = 0x10;

/// struct ethtool_channels and struct ethtool_ringparam: a command and eight numbers each.
type Answer = [u32; 9];

/// Returns the number of active queues of the interface.
pub(super) fn queues(interface: &str) -> Option<u32> {
    let listed = std::fs::read_dir(format!("/sys/class/net/{interface}/queues")).ok().map(|dir| {
        let rx = |name: &str| name.starts_with("rx-");
        dir.flatten().filter(|entry| entry.file_name().to_str().is_some_and(rx)).count() as u32
    });
    // max_rx, max_tx, max_other, max_combined, rx, tx, other, combined. Used second because veth
    // also reports inactive channels.
    listed.or_else(|| ethtool(interface, ETHTOOL_GCHANNELS).map(|a| a[5] + a[8]))
}

/// Returns the number of descriptors of the driver's RX ring.
pub(super) fn rx_ring(interface: &str) -> Option<u32> {
    // rx_max, mini_max, jumbo_max, tx_max, rx, mini, jumbo, tx
    ethtool(interface, ETHTOOL_GRINGPARAM).map(|a| a[5]).filter(|n| *n > 0)
}

/// Returns the MTU of the interface.
pub(super) fn mtu(interface: &str) -> Option<u32> {
    let mut request = request(interface)?;
    ioctl(libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: SIOCGIFMTU filled `ifru_mtu`, and any bytes are an integer.
    u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).ok()
}

fn ethtool(interface: &str, command: u32) -> Option<Answer> {
    let mut answer: Answer = [0; 9];
    answer[0] = command;
    let mut request = request(interface)?;
    request.ifr_ifru.ifru_data = (&raw mut answer).cast();
    ioctl(libc::SIOCETHTOOL, &mut request)?;
    Some(answer)
}

fn request(interface: &str) -> Option<libc::ifreq> {
    // SAFETY: all-zero bytes are a valid ifreq: integers, arrays and a null pointer.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return None;
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = byte as libc::c_char;
    }
    Some(request)
}

fn ioctl(command: libc::c_ulong, request: &mut libc::ifreq) -> Option<()> {
    // SAFETY: no pointers are passed, and nothing else owns the new descriptor.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return None;
        }
        OwnedFd::from_raw_fd(fd)
    };
    // SAFETY: `request` is a whole ifreq, and `ifru_data` points to a buffer of the length that the
    // two ethtool commands fill.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), command as _, &raw mut *request) };
    (answer == 0).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_an_mtu_and_a_queue() {
        assert!(mtu("lo").is_some_and(|mtu| mtu >= 1280));
        assert_eq!(queues("lo"), Some(1));
    }

    #[test]
    fn a_missing_interface_has_no_information() {
        for name in ["lr-none", "a-name-longer-than-any-interface-has", ""] {
            assert_eq!((mtu(name), rx_ring(name)), (None, None), "{name}");
        }
    }
}
