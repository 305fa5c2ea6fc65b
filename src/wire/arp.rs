//! ARP for IPv4 over Ethernet (RFC 826).

use super::error::{Error, NoRoom};
use super::ethernet::MacAddr;
use core::net::Ipv4Addr;

/// Length of a packet in bytes.
pub const PACKET_LEN: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, their address lengths.
const ETHERNET_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// Operation of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Asks for the owner of the target address.
    Request,
    /// Answers with the sender's addresses.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Request or reply.
    pub operation: Operation,
    /// The sender's link-layer address.
    pub sender_mac: MacAddr,
    /// The sender's protocol address; unspecified in a probe (RFC 5227 §2.1.1).
    pub sender_ip: Ipv4Addr,
    /// The target's link-layer address; meaningless in a request.
    pub target_mac: MacAddr,
    /// The target's protocol address.
    pub target_ip: Ipv4Addr,
}

impl Packet {
    /// Writes the packet to the start of `bytes` and returns its length.
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the packet.
    pub fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let packet = bytes.first_chunk_mut::<PACKET_LEN>().ok_or(NoRoom)?;
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        packet[..6].copy_from_slice(&ETHERNET_IPV4);
        packet[6..8].copy_from_slice(&[0, operation]);
        packet[8..14].copy_from_slice(&self.sender_mac.0);
        packet[14..18].copy_from_slice(&self.sender_ip.octets());
        packet[18..24].copy_from_slice(&self.target_mac.0);
        packet[24..28].copy_from_slice(&self.target_ip.octets());
        Ok(PACKET_LEN)
    }
}

/// Parses a packet.
///
/// # Errors
/// - [`Error::Truncated`]: fewer than 28 bytes.
/// - [`Error::Unsupported`]: other hardware, another protocol, or neither a request nor a reply.
/// - [`Error::Malformed`]: the sender claims a multicast or the broadcast address.
pub fn parse(bytes: &[u8]) -> Result<Packet, Error> {
    let packet = bytes.first_chunk::<PACKET_LEN>().ok_or(Error::Truncated)?;
    if packet[..6] != ETHERNET_IPV4 {
        return Err(Error::Unsupported);
    }
    let operation = match packet[6..8] {
        [0, 1] => Operation::Request,
        [0, 2] => Operation::Reply,
        _ => return Err(Error::Unsupported),
    };
    let mac = |at: usize| MacAddr(core::array::from_fn(|i| packet[at + i]));
    let ip = |at: usize| Ipv4Addr::from(core::array::from_fn::<u8, 4, _>(|i| packet[at + i]));
    let (sender_mac, sender_ip) = (mac(8), ip(14));
    // Accepting it would send a host's traffic to the whole group.
    if !sender_mac.is_unicast() || sender_ip.is_multicast() || sender_ip.is_broadcast() {
        return Err(Error::Malformed);
    }
    Ok(Packet { operation, sender_mac, sender_ip, target_mac: mac(18), target_ip: ip(24) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet() -> impl Strategy<Value = Packet> {
        let operation = prop_oneof![Just(Operation::Request), Just(Operation::Reply)];
        (operation, any::<([u8; 6], [u8; 4], [u8; 6], [u8; 4])>())
            .prop_map(|(operation, (sender_mac, sender_ip, target_mac, target_ip))| Packet {
                operation,
                sender_mac: MacAddr(sender_mac),
                sender_ip: sender_ip.into(),
                target_mac: MacAddr(target_mac),
                target_ip: target_ip.into(),
            })
            .prop_filter("a valid sender", |p| {
                p.sender_mac.is_unicast()
                    && !p.sender_ip.is_multicast()
                    && !p.sender_ip.is_broadcast()
            })
    }

    proptest! {
        #[test]
        fn emitted_bytes_parse_back(packet in packet()) {
            let mut bytes = [0; 46];
            prop_assert_eq!(packet.emit(&mut bytes), Ok(PACKET_LEN));
            prop_assert_eq!(parse(&bytes), Ok(packet));
            for cut in 0..PACKET_LEN {
                prop_assert_eq!(parse(&bytes[..cut]), Err(Error::Truncated));
                prop_assert_eq!(packet.emit(&mut [0; 46][..cut]), Err(NoRoom));
            }
        }

        #[test]
        fn any_bytes_are_a_packet_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn other_hardware_protocols_and_operations_are_unsupported() {
        let request = Packet {
            operation: Operation::Request,
            sender_mac: MacAddr([2, 0, 0, 0, 0, 1]),
            sender_ip: Ipv4Addr::new(10, 0, 0, 1),
            target_mac: MacAddr::ZERO,
            target_ip: Ipv4Addr::new(10, 0, 0, 2),
        };
        let mut good = [0; PACKET_LEN];
        assert_eq!(request.emit(&mut good), Ok(PACKET_LEN));
        for at in [0, 1, 2, 3, 4, 5, 6, 7] {
            let mut bad = good;
            bad[at] ^= 0x40;
            assert_eq!(parse(&bad), Err(Error::Unsupported), "byte {at}");
        }
    }

    #[test]
    fn a_group_cannot_claim_an_address() {
        let mut claim = Packet {
            operation: Operation::Reply,
            sender_mac: MacAddr::BROADCAST,
            sender_ip: Ipv4Addr::new(10, 0, 0, 1),
            target_mac: MacAddr::ZERO,
            target_ip: Ipv4Addr::new(10, 0, 0, 2),
        };
        let mut bytes = [0; PACKET_LEN];
        assert_eq!(claim.emit(&mut bytes), Ok(PACKET_LEN));
        assert_eq!(parse(&bytes), Err(Error::Malformed));
        claim.sender_mac = MacAddr([2, 0, 0, 0, 0, 1]);
        claim.sender_ip = Ipv4Addr::BROADCAST;
        assert_eq!(claim.emit(&mut bytes), Ok(PACKET_LEN));
        assert_eq!(parse(&bytes), Err(Error::Malformed));
    }
}
