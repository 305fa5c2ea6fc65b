//! The kernel's side of the cable: its addresses, and the interface up.

use std::net::IpAddr;

use nix::net::if_::if_nametoindex;

use super::error::BringUpError;
use super::netlink::Request;

/// Gives the kernel `addresses` with their prefix lengths on `interface`, and sets it up. Addresses
/// that it has already are left as they are.
///
/// The kernel uses IPv6 addresses at once, without duplicate address detection: nothing but the
/// stack is at the other end.
///
/// # Errors
/// [`BringUpError`]. Addresses that were added before the failure stay.
pub fn bring_up(interface: &str, addresses: &[(IpAddr, u8)]) -> Result<(), BringUpError> {
    let index = if_nametoindex(interface)
        .map_err(|_| BringUpError::NoInterface { interface: interface.to_owned() })?;
    set_up(index).map_err(|cause| BringUpError::of_link(interface, cause))?;
    for (address, prefix) in addresses {
        add(index, *address, *prefix)
            .map_err(|cause| BringUpError::of_address(interface, (*address, *prefix), cause))?;
    }
    Ok(())
}

fn set_up(index: u32) -> std::io::Result<()> {
    let up = libc::IFF_UP.to_ne_bytes();
    // struct ifinfomsg: family, padding, type, index, flags, the flags to change.
    let fixed: [&[u8]; 4] = [&[0; 4], &index.to_ne_bytes(), &up, &up];
    Request::new(libc::RTM_NEWLINK, 0).fixed(&fixed).send()
}

fn add(index: u32, address: IpAddr, prefix: u8) -> std::io::Result<()> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let head = [family as u8, prefix, libc::IFA_F_NODAD as u8, libc::RT_SCOPE_UNIVERSE];
    Request::new(libc::RTM_NEWADDR, libc::NLM_F_CREATE | libc::NLM_F_REPLACE)
        .fixed(&[&head, &index.to_ne_bytes()])
        .attribute(libc::IFA_LOCAL, &octets)
        .attribute(libc::IFA_ADDRESS, &octets)
        .send()
}
