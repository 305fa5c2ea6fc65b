//! The packet that nearly all packets are: untagged Ethernet, IPv4 without options, a whole TCP segment,
//! everything right. One length check, then fixed offsets.
//!
//! Refuses whatever is not exactly that, without saying why: the caller then goes the long way through
//! `ethernet`, `ipv4` and `tcp`, which agree with this one on every packet that it takes (a property
//! test says so). It exists since it takes half the instructions.

use super::checksum::{self, PseudoHeader};
use super::ethernet::{self, MacAddr};
use super::protocol::Protocol;
use super::{ipv4, tcp};
use core::net::Ipv4Addr;

const IP_AT: usize = ethernet::HEADER_LEN;
const TCP_AT: usize = IP_AT + ipv4::HEADER_LEN;

/// Such a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    /// The station that put it on the link.
    pub src_mac: MacAddr,
    /// From whom.
    pub src: Ipv4Addr,
    /// To whom.
    pub dst: Ipv4Addr,
    /// The segment's header.
    pub header: tcp::Header<'a>,
    /// The segment's data.
    pub payload: &'a [u8],
}

impl Plain<'_> {
    /// Where in the frame the data begins.
    #[inline]
    pub fn payload_at(&self) -> usize {
        TCP_AT + usize::from(self.header.header_len)
    }
}

/// Reads a packet for the station `mac`, if it is such a one and both sums are right.
#[inline(always)]
pub fn parse(frame: &[u8], mac: MacAddr) -> Option<Plain<'_>> {
    let head = frame.first_chunk::<TCP_AT>()?;
    let be16 = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let address = |at: usize| Ipv4Addr::new(head[at], head[at + 1], head[at + 2], head[at + 3]);
    let total_len = usize::from(be16(IP_AT + 2));
    let is_plain = head[..6] == mac.0
        // IPv4, and a header of five words.
        && head[12..15] == [0x08, 0x00, 0x45]
        // Neither more fragments nor an offset.
        && be16(IP_AT + 6) & 0x3fff == 0
        && head[IP_AT + 9] == Protocol::TCP.0;
    if !is_plain {
        return None;
    }
    let packet = frame.get(IP_AT..IP_AT + total_len)?;
    let (header, segment) = packet.split_first_chunk::<{ ipv4::HEADER_LEN }>()?;
    let (src, dst) = (address(IP_AT + 12), address(IP_AT + 16));
    let pseudo = PseudoHeader::v4(src, dst).with(Protocol::TCP, segment.len());
    let intact =
        checksum::sum(header).is_intact() && pseudo.plus(checksum::sum(segment)).is_intact();
    if !intact {
        return None;
    }
    let (header, payload) = tcp::parse(segment).ok()?;
    let src_mac = MacAddr([head[6], head[7], head[8], head[9], head[10], head[11]]);
    Some(Plain { src_mac, src, dst, header, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::{HeaderOut, OptionsOut, Timestamps, flag};
    use crate::wire::{EtherType, TrafficClass, vlan};
    use proptest::prelude::*;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    fn frame(timestamps: Option<Timestamps>, mss: Option<u16>, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let mut bytes = vec![0; 200 + payload.len()];
        let outer = ethernet::Header {
            dst: MAC,
            src: MacAddr([2, 0, 0, 0, 0, 9]),
            ethertype: EtherType::IPV4,
            vlan: vlan::Tags::NONE,
        };
        outer.emit(&mut bytes).expect("room");
        let header = HeaderOut {
            src_port: 1,
            dst_port: 2,
            seq: 3,
            ack: 4,
            window: 5,
            urgent: 6,
            flags: if mss.is_some() { flag::SYN } else { flag::ACK },
            options: OptionsOut { timestamps, mss, ..OptionsOut::default() },
        };
        let pseudo = PseudoHeader::v4(src, dst);
        let len = header.emit(pseudo, (payload, &[]), &mut bytes[TCP_AT..]).expect("room");
        let ip = ipv4::HeaderOut {
            src,
            dst,
            protocol: Protocol::TCP,
            ttl: 64,
            traffic_class: TrafficClass(0),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        ip.emit(len, &mut bytes[IP_AT..]).expect("room");
        bytes.truncate(TCP_AT + len);
        bytes
    }

    /// What the long way finds, in the same words.
    fn long_way(frame: &[u8]) -> Option<Plain<'_>> {
        let (outer, packet) = ethernet::parse(frame).ok()?;
        let (ip, segment) = ipv4::parse(packet).ok()?;
        let intact = tcp::verify(PseudoHeader::v4(ip.src, ip.dst), segment);
        let (header, payload) = tcp::parse(segment).ok()?;
        let ours = outer.dst == MAC && outer.vlan.outer.is_none();
        let right = ours && !ip.fragment.is_fragment() && intact == checksum::Verdict::Good;
        let (src_mac, src, dst) = (outer.src, ip.src, ip.dst);
        right.then_some(Plain { src_mac, src, dst, header, payload })
    }

    #[test]
    fn the_plain_packet_is_taken_and_others_are_left_to_the_long_way() {
        let stamps = Some(Timestamps { value: 7, echo: 8 });
        let syn = (stamps, Some(1460), &b""[..]);
        for (timestamps, mss, payload) in
            [(None, None, &b""[..]), (stamps, None, b""), (stamps, None, b"some data"), syn]
        {
            let bytes = frame(timestamps, mss, payload);
            assert_eq!(parse(&bytes, MAC), long_way(&bytes));
            assert!(parse(&bytes, MAC).is_some());
            assert_eq!(parse(&bytes, MacAddr::BROADCAST), None);
        }
        let mut tagged = frame(stamps, None, b"");
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        assert_eq!(parse(&tagged, MAC), None);
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_the_long_way_finds(
            stamped: bool,
            payload in proptest::collection::vec(any::<u8>(), 0..80),
            cut in 0usize..160,
            padding in 0usize..8,
            changes in proptest::collection::vec((0usize..160, any::<u8>()), 0..3),
        ) {
            let stamps = stamped.then_some(Timestamps { value: 7, echo: 8 });
            let mut bytes = frame(stamps, None, &payload);
            bytes.resize(bytes.len() + padding, 0);
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(80)));
            if let Some(plain) = parse(&bytes, MAC) {
                prop_assert_eq!(Some(plain), long_way(&bytes));
            }
        }
    }
}
