//! `struct sockaddr`, in bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::errno::Errno;

const LEN_V4: usize = size_of::<libc::sockaddr_in>();
const LEN_V6: usize = size_of::<libc::sockaddr_in6>();

/// Decodes an address; `None` is `AF_UNSPEC`. Converts IPv4-mapped IPv6 to IPv4, the form on the
/// wire.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<SocketAddr>, Errno> {
    let family = bytes.first_chunk().map(|family| u16::from_ne_bytes(*family));
    let port = bytes.get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]])).unwrap_or(0);
    match family.map(i32::from).ok_or(Errno::EINVAL)? {
        libc::AF_UNSPEC => Ok(None),
        libc::AF_INET => {
            let ip: [u8; 4] = bytes
                .get(..LEN_V4)
                .and_then(|all| all[4..8].try_into().ok())
                .ok_or(Errno::EINVAL)?;
            Ok(Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port)))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] =
                bytes.get(8..24).and_then(|ip| ip.try_into().ok()).ok_or(Errno::EINVAL)?;
            Ok(Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(ip)).to_canonical(), port)))
        }
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Encodes an address for a socket of the given family.
pub(super) fn encode(address: SocketAddr, ipv6: bool) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    let mut bytes = Vec::with_capacity(LEN_V6);
    match address.ip() {
        IpAddr::V4(ip) if !ipv6 => {
            bytes.extend_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            bytes.extend_from_slice(&port);
            bytes.extend_from_slice(&ip.octets());
            bytes.resize(LEN_V4, 0);
        }
        ip => {
            let ip = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            bytes.extend_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            bytes.extend_from_slice(&port);
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&ip.octets());
            bytes.resize(LEN_V6, 0);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_address_decodes_to_the_same_address() {
        for (text, ipv6) in
            [("192.0.2.1:80", false), ("192.0.2.1:80", true), ("[2001:db8::1]:80", true)]
        {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(decode(&encode(address, ipv6)), Ok(Some(address)));
        }
        assert_eq!(decode(&[0, 0]), Ok(None), "AF_UNSPEC");
        assert_eq!(decode(&[1]), Err(Errno::EINVAL));
    }
}
