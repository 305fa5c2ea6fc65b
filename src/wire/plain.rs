//! Fast path for the most common packet: untagged Ethernet, IPv4 without options, an unfragmented
//! and valid TCP segment. One length check, then fixed offsets.
//!
//! Rejects any other packet without a reason. The caller then takes the general path through
//! `ethernet`, `ipv4` and `tcp`, which gives the same result for every packet that the fast path
//! accepts (a property test checks this). The fast path takes half the instructions.

use super::checksum::{self, PseudoHeader};
use super::ethernet::{self, MacAddr};
use super::protocol::{Protocol, TrafficClass};
use super::{ipv4, tcp};
use core::net::Ipv4Addr;

const IP_AT: usize = ethernet::HEADER_LEN;
const TCP_AT: usize = IP_AT + ipv4::HEADER_LEN;

/// A packet of this form with both checksums verified. Its fields are read where they are needed:
/// reading all at once would leave no registers for their use.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    head: &'a [u8; TCP_AT],
    /// The TCP segment, for [`tcp::parse`].
    pub segment: &'a [u8],
}

impl Plain<'_> {
    /// Returns the source MAC address.
    #[inline(always)]
    pub fn src_mac(&self) -> MacAddr {
        MacAddr(self.bytes_at::<6, 6>())
    }

    /// Returns the source address.
    #[inline(always)]
    pub fn src(&self) -> Ipv4Addr {
        self.bytes_at::<{ IP_AT + 12 }, 4>().into()
    }

    /// Returns the destination address.
    #[inline(always)]
    pub fn dst(&self) -> Ipv4Addr {
        self.bytes_at::<{ IP_AT + 16 }, 4>().into()
    }

    /// Returns DSCP and ECN.
    #[inline(always)]
    pub const fn traffic_class(&self) -> TrafficClass {
        TrafficClass(self.head[IP_AT + 1])
    }

    #[inline(always)]
    fn bytes_at<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= TCP_AT) };
        *self.head[AT..].first_chunk().expect("asserted above")
    }
}

/// Offset of the segment in the frame.
pub const SEGMENT_AT: usize = TCP_AT;

/// A packet of this form to send, without data.
#[derive(Clone, Copy, Debug)]
pub struct PlainOut {
    /// Destination MAC address.
    pub dst_mac: MacAddr,
    /// Source MAC address.
    pub src_mac: MacAddr,
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Maximum number of hops.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: TrafficClass,
}

impl PlainOut {
    /// Writes the packet with this header and returns its length. Returns `None` for options other
    /// than none, timestamps, or those of a usual SYN, and for a `frame` that is too short; the
    /// general path handles them.
    #[inline(always)]
    pub fn emit(&self, header: &tcp::HeaderOut<'_>, frame: &mut [u8]) -> Option<usize> {
        let (options, words) = options_of(header)?;
        let len = TCP_AT + tcp::HEADER_LEN + 4 * words;
        let frame = frame.get_mut(..len)?;
        self.emit_outer((len - IP_AT) as u32, frame)?;
        let area = frame.get_mut(TCP_AT + tcp::HEADER_LEN..)?;
        for (to, word) in area.as_chunks_mut::<4>().0.iter_mut().zip(options) {
            *to = word.to_be_bytes();
        }
        let segment_len = tcp::HEADER_LEN + 4 * words;
        let pseudo = wide(&[self.src.to_bits(), self.dst.to_bits(), segment_len as u32])
            + u64::from(Protocol::TCP.0);
        let to = frame.get_mut(TCP_AT..)?.first_chunk_mut()?;
        emit_header(header, segment_len as u32, pseudo + wide(&options), to);
        Some(len)
    }

    /// Writes the Ethernet and IP headers for a packet of `total_len` bytes.
    #[inline(always)]
    fn emit_outer(&self, total_len: u32, frame: &mut [u8]) -> Option<()> {
        let to = frame.first_chunk_mut::<TCP_AT>()?;
        to[..6].copy_from_slice(&self.dst_mac.0);
        to[6..12].copy_from_slice(&self.src_mac.0);
        let (src, dst) = (self.src.to_bits(), self.dst.to_bits());
        let first = 0x4500_0000 | u32::from(self.traffic_class.0) << 16 | total_len;
        // RFC 6864 §4.1: with DF set, any identification is valid.
        let (dont_fragment, protocol) = (0x4000, u32::from(Protocol::TCP.0));
        let third = u32::from(self.ttl) << 24 | protocol << 16;
        let sum = checksum_of(wide(&[first, dont_fragment, third, src, dst]));
        to[12..14].copy_from_slice(&[0x08, 0x00]);
        to[14..18].copy_from_slice(&first.to_be_bytes());
        to[18..22].copy_from_slice(&dont_fragment.to_be_bytes());
        to[22..26].copy_from_slice(&(third | sum).to_be_bytes());
        to[26..30].copy_from_slice(&src.to_be_bytes());
        to[30..34].copy_from_slice(&dst.to_be_bytes());
        Some(())
    }
}

/// Words of options on a usual SYN: the maximum for this form.
const OPTION_WORDS: usize = 5;

/// Returns the options as words in Linux's order, padded with zeros, and their number.
#[inline(always)]
fn options_of(header: &tcp::HeaderOut<'_>) -> Option<([u32; OPTION_WORDS], usize)> {
    let options = &header.options;
    let rare =
        options.fast_open.is_some() || options.user_timeout.is_some() || options.accecn.is_some();
    if !options.sack.is_empty() || rare {
        return None;
    }
    let stamp = options.timestamps;
    match (options.mss, options.window_shift, options.sack_permitted, stamp) {
        (None, None, false, None) => Some(([0; OPTION_WORDS], 0)),
        (None, None, false, Some(t)) => Some(([0x0101_080a, t.value, t.echo, 0, 0], 3)),
        (Some(mss), Some(shift), true, Some(t)) => {
            let (mss, shift) = (0x0204_0000 | u32::from(mss), 0x0103_0300 | u32::from(shift));
            Some(([mss, 0x0402_080a, t.value, t.echo, shift], 5))
        }
        _ => None,
    }
}

/// Writes the fixed part of the TCP header; `sum` is the sum of everything else.
#[inline(always)]
fn emit_header(
    header: &tcp::HeaderOut<'_>,
    header_len: u32,
    sum: u64,
    to: &mut [u8; tcp::HEADER_LEN],
) {
    let ports = u32::from(header.src_port) << 16 | u32::from(header.dst_port);
    let flags = u32::from(header.flags & tcp::flag::ALL);
    let control = header_len << 26 | flags << 16 | u32::from(header.window);
    let urgent = u32::from(header.urgent);
    let sum = checksum_of(sum + wide(&[ports, header.seq, header.ack, control, urgent]));
    to[..4].copy_from_slice(&ports.to_be_bytes());
    to[4..8].copy_from_slice(&header.seq.to_be_bytes());
    to[8..12].copy_from_slice(&header.ack.to_be_bytes());
    to[12..16].copy_from_slice(&control.to_be_bytes());
    to[16..].copy_from_slice(&(sum << 16 | urgent).to_be_bytes());
}

/// Sums a few words read in network byte order. 64 bits lose no carry.
#[inline(always)]
fn wide(words: &[u32]) -> u64 {
    words.iter().map(|word| u64::from(*word)).sum()
}

/// Completes the checksum of words in network byte order (RFC 1071 §1).
#[inline(always)]
const fn checksum_of(sum: u64) -> u32 {
    // Add each half to the other, with end-around carry.
    let words = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    let folded = words.wrapping_add(words.rotate_left(16)) >> 16;
    !folded & 0xffff
}

/// Sums a segment. Most segments begin with a header whose only option is timestamps; many are
/// nothing else.
#[inline(always)]
fn sum_of(segment: &[u8]) -> checksum::Sum {
    match segment.split_first_chunk::<{ tcp::STAMPED_LEN }>() {
        Some((header, [])) => checksum::sum_fixed(header),
        Some((header, rest)) => checksum::sum_fixed(header).plus(checksum::sum(rest)),
        None => checksum::sum(segment),
    }
}

/// Parses a packet addressed to `mac`. Returns `None` if it does not have this form or a checksum
/// is wrong.
#[inline(always)]
pub fn parse(frame: &[u8], mac: MacAddr) -> Option<Plain<'_>> {
    let head = frame.first_chunk::<TCP_AT>()?;
    let be16 = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let total_len = usize::from(be16(IP_AT + 2));
    let is_plain = head[..6] == mac.0
        // IPv4 with a header of five words.
        && head[12..15] == [0x08, 0x00, 0x45]
        // No more fragments and no offset.
        && be16(IP_AT + 6) & 0x3fff == 0
        && head[IP_AT + 9] == Protocol::TCP.0;
    if !is_plain {
        return None;
    }
    let packet = frame.get(IP_AT..IP_AT + total_len)?;
    let (header, segment) = packet.split_first_chunk::<{ ipv4::HEADER_LEN }>()?;
    let plain = Plain { head, segment };
    let pseudo = PseudoHeader::v4(plain.src(), plain.dst()).with(Protocol::TCP, segment.len());
    let intact =
        checksum::sum_fixed(header).is_intact() && pseudo.plus(sum_of(segment)).is_intact();
    intact.then_some(plain)
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

    /// Fields of a parsed packet.
    type Fields<'a> = (MacAddr, Ipv4Addr, Ipv4Addr, TrafficClass, &'a [u8]);

    fn fast_path(frame: &[u8], mac: MacAddr) -> Option<Fields<'_>> {
        let plain = parse(frame, mac)?;
        Some((plain.src_mac(), plain.src(), plain.dst(), plain.traffic_class(), plain.segment))
    }

    /// Parses the same fields on the general path.
    fn general_path(frame: &[u8]) -> Option<Fields<'_>> {
        let (outer, packet) = ethernet::parse(frame).ok()?;
        let (ip, segment) = ipv4::parse(packet).ok()?;
        let intact = tcp::verify(PseudoHeader::v4(ip.src, ip.dst), segment);
        let addressed = outer.dst == MAC && outer.vlan.outer.is_none();
        let valid = addressed && !ip.fragment.is_fragment() && intact == checksum::Verdict::Good;
        valid.then_some((outer.src, ip.src, ip.dst, ip.traffic_class, segment))
    }

    #[test]
    fn the_fast_path_accepts_plain_packets_only() {
        let stamps = Some(Timestamps { value: 7, echo: 8 });
        let syn = (stamps, Some(1460), &b""[..]);
        for (timestamps, mss, payload) in
            [(None, None, &b""[..]), (stamps, None, b""), (stamps, None, b"some data"), syn]
        {
            let bytes = frame(timestamps, mss, payload);
            assert_eq!(fast_path(&bytes, MAC), general_path(&bytes));
            assert!(fast_path(&bytes, MAC).is_some());
            assert_eq!(fast_path(&bytes, MacAddr::BROADCAST), None);
        }
        let mut tagged = frame(stamps, None, b"");
        tagged.splice(12..12, [0x81, 0, 0, 5]);
        assert_eq!(fast_path(&tagged, MAC), None);
    }

    /// A header with timestamps or the options of a usual SYN.
    fn header(stamped: bool, syn: bool, numbers: [u32; 4], small: [u16; 4]) -> HeaderOut<'static> {
        let [seq, ack, value, echo] = numbers;
        let [src_port, dst_port, window, urgent] = small;
        HeaderOut {
            src_port,
            dst_port,
            seq,
            ack,
            window,
            urgent,
            flags: if syn { flag::SYN | flag::ACK } else { flag::ACK | flag::FIN },
            options: OptionsOut {
                timestamps: (stamped || syn).then_some(Timestamps { value, echo }),
                mss: syn.then_some(1460),
                window_shift: syn.then_some(7),
                sack_permitted: syn,
                ..OptionsOut::default()
            },
        }
    }

    #[test]
    fn unusual_options_and_short_frames_are_left_to_the_general_path() {
        let out = PlainOut {
            dst_mac: MAC,
            src_mac: MAC,
            src: Ipv4Addr::LOCALHOST,
            dst: Ipv4Addr::LOCALHOST,
            ttl: 64,
            traffic_class: TrafficClass(0),
        };
        let usual = header(true, false, [1; 4], [1; 4]);
        let mut frame = [0; 100];
        assert_eq!(out.emit(&usual, &mut frame), Some(66));
        assert_eq!(out.emit(&usual, &mut frame[..65]), None);
        let mut odd = usual;
        odd.options.sack = &[(1, 2)];
        assert_eq!(out.emit(&odd, &mut frame), None);
        odd = usual;
        odd.options.mss = Some(1460);
        assert_eq!(out.emit(&odd, &mut frame), None);
        odd = usual;
        odd.options.user_timeout = Some(300);
        assert_eq!(out.emit(&odd, &mut frame), None);
        odd = usual;
        odd.options.fast_open = Some(tcp::FastOpen::default());
        assert_eq!(out.emit(&odd, &mut frame), None);
    }

    proptest! {
        #[test]
        fn the_fast_path_emits_the_same_bytes_as_the_general_path(
            stamped: bool,
            syn: bool,
            numbers: [u32; 4],
            small: [u16; 4],
            addresses: [u32; 2],
            ttl: u8,
            class: u8,
        ) {
            let header = header(stamped, syn, numbers, small);
            let [src, dst] = addresses.map(Ipv4Addr::from_bits);
            let (dst_mac, src_mac) = (MAC, MacAddr([2, 0, 0, 0, 0, 9]));
            let traffic_class = TrafficClass(class);
            let mut short = [0xaa; 100];
            let out = PlainOut { dst_mac, src_mac, src, dst, ttl, traffic_class };
            let len = out.emit(&header, &mut short);
            let mut long = [0xaa; 100];
            let (ethertype, vlan) = (EtherType::IPV4, vlan::Tags::NONE);
            ethernet::Header { dst: dst_mac, src: src_mac, ethertype, vlan }
                .emit(&mut long)
                .expect("room");
            let pseudo = PseudoHeader::v4(src, dst);
            let tcp_len = header.emit(pseudo, (&[], &[]), &mut long[TCP_AT..]).expect("room");
            let (protocol, fragment) = (Protocol::TCP, ipv4::Fragment::DONT);
            ipv4::HeaderOut { src, dst, protocol, ttl, traffic_class, ident: 0, fragment }
                .emit(tcp_len, &mut long[IP_AT..])
                .expect("room");
            prop_assert_eq!(len, Some(TCP_AT + tcp_len));
            prop_assert_eq!(&short[..], &long[..]);
        }

        #[test]
        fn the_fast_path_parses_the_same_fields_as_the_general_path(
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
            if let Some(plain) = fast_path(&bytes, MAC) {
                prop_assert_eq!(Some(plain), general_path(&bytes));
            }
        }
    }
}
