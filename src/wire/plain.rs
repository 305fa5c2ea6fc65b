//! The packet that nearly all packets are: untagged Ethernet, IPv4 without options, a whole TCP segment,
//! everything right. One length check, then fixed offsets.
//!
//! Refuses whatever is not exactly that, without saying why: the caller then goes the long way through
//! `ethernet`, `ipv4` and `tcp`, which agree with this one on every packet that it takes (a property
//! test says so). It exists since it takes half the instructions.

use super::checksum::{self, PseudoHeader};
use super::ethernet::{self, MacAddr};
use super::protocol::Protocol;
use super::tcp::Timestamps;
use super::{ipv4, tcp};
use core::net::Ipv4Addr;

const IP_AT: usize = ethernet::HEADER_LEN;
const TCP_AT: usize = IP_AT + ipv4::HEADER_LEN;
const FIXED: usize = TCP_AT + tcp::HEADER_LEN;

/// Such a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    /// The station that put it on the link.
    pub src_mac: MacAddr,
    /// From whom.
    pub src: Ipv4Addr,
    /// To whom.
    pub dst: Ipv4Addr,
    /// The sender's port.
    pub src_port: u16,
    /// The receiver's port.
    pub dst_port: u16,
    /// SEG.SEQ.
    pub seq: u32,
    /// SEG.ACK.
    pub ack: u32,
    /// The control bits.
    pub flags: u8,
    /// SEG.WND.
    pub window: u16,
    /// SEG.UP.
    pub urgent: u16,
    /// Timestamps, alone and aligned (RFC 7323 appendix A), or no options at all.
    pub timestamps: Option<Timestamps>,
    /// Where in the frame the data begins.
    pub payload_at: usize,
    /// The data.
    pub payload: &'a [u8],
}

/// Reads a packet for the station `mac`, if it is such a one and both sums are right.
#[inline(always)]
pub fn parse(frame: &[u8], mac: MacAddr) -> Option<Plain<'_>> {
    let head = frame.first_chunk::<FIXED>()?;
    let be16 = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let be32 = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let total_len = usize::from(be16(IP_AT + 2));
    let is_plain = head[..6] == mac.0
        // IPv4, and a header of five words.
        && head[12..15] == [0x08, 0x00, 0x45]
        // Neither more fragments nor an offset.
        && be16(IP_AT + 6) & 0x3fff == 0
        && head[IP_AT + 9] == Protocol::TCP.0;
    let packet = frame.get(IP_AT..IP_AT + total_len)?;
    let (header, segment) = packet.split_first_chunk::<{ ipv4::HEADER_LEN }>()?;
    if !is_plain || !checksum::sum(header).is_intact() {
        return None;
    }
    let (timestamps, header_len) = options(head[TCP_AT + 12], segment)?;
    let payload = segment.get(header_len..)?;
    let src = Ipv4Addr::from(be32(IP_AT + 12));
    let dst = Ipv4Addr::from(be32(IP_AT + 16));
    let pseudo = PseudoHeader::v4(src, dst).with(Protocol::TCP, segment.len());
    if !pseudo.plus(checksum::sum(segment)).is_intact() {
        return None;
    }
    Some(Plain {
        src_mac: MacAddr([head[6], head[7], head[8], head[9], head[10], head[11]]),
        src,
        dst,
        src_port: be16(TCP_AT),
        dst_port: be16(TCP_AT + 2),
        seq: be32(TCP_AT + 4),
        ack: be32(TCP_AT + 8),
        flags: head[TCP_AT + 13],
        window: be16(TCP_AT + 14),
        urgent: be16(TCP_AT + 18),
        timestamps,
        payload_at: TCP_AT + header_len,
        payload,
    })
}

/// The two layouts of options that a segment of an open connection has, and the header's length.
#[inline(always)]
fn options(offset: u8, segment: &[u8]) -> Option<(Option<Timestamps>, usize)> {
    match offset >> 4 {
        5 => Some((None, tcp::HEADER_LEN)),
        8 => {
            let area = segment.get(tcp::HEADER_LEN..)?.first_chunk::<12>()?;
            let &[1, 1, 8, 10, a, b, c, d, e, f, g, h] = area else { return None };
            let value = u32::from_be_bytes([a, b, c, d]);
            let echo = u32::from_be_bytes([e, f, g, h]);
            Some((Some(Timestamps { value, echo }), tcp::HEADER_LEN + area.len()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::{HeaderOut, OptionsOut, flag};
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
        right.then_some(Plain {
            src_mac: outer.src,
            src: ip.src,
            dst: ip.dst,
            src_port: header.src_port,
            dst_port: header.dst_port,
            seq: header.seq,
            ack: header.ack,
            flags: header.flags,
            window: header.window,
            urgent: header.urgent,
            timestamps: header.options.timestamps,
            payload_at: TCP_AT + usize::from(header.header_len),
            payload,
        })
    }

    #[test]
    fn the_plain_packet_is_taken_and_others_are_left_to_the_long_way() {
        let stamps = Some(Timestamps { value: 7, echo: 8 });
        for (timestamps, payload) in [(None, &b""[..]), (stamps, b""), (stamps, b"some data")] {
            let bytes = frame(timestamps, None, payload);
            assert_eq!(parse(&bytes, MAC), long_way(&bytes));
            assert!(parse(&bytes, MAC).is_some());
            assert_eq!(parse(&bytes, MacAddr::BROADCAST), None);
        }
        assert_eq!(parse(&frame(stamps, Some(1460), b""), MAC), None);
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
