//! Conversion between checked headers and typed segments. No other file of the shard does this.
//!
//! Knows both layouts. Refuses to know flows, and what a segment means.

use core::net::IpAddr;

use crate::link::Frame;
use crate::tcp::{
    ByteCounters, Codepoint, Cookie, FastOpen, Flags, Form, Options, RareOptions, SackBlocks,
    Segment, SegmentOut, SeqNum, Timestamps, UserTimeout, WindowShift,
};
use crate::wire::checksum::PseudoHeader;
use crate::wire::{EtherType, MacAddr, NoRoom, Protocol, TrafficClass};
use crate::wire::{ethernet, ipv4, ipv6, plain, tcp, vlan};

/// Converts a received header to a segment. Payload and rare options stay in the frame.
#[inline(always)]
pub(in crate::shard) fn segment(header: &tcp::Header<'_>, class: TrafficClass) -> Segment<'static> {
    let options = &header.options;
    Segment {
        seq: SeqNum(header.seq),
        ack: SeqNum(header.ack),
        flags: Flags(header.flags),
        window: header.window,
        urgent: header.urgent,
        ecn: Codepoint::from_bits(class.ecn()),
        options: Options {
            mss: options.mss,
            window_shift: options.window_shift.map(WindowShift::from_offer),
            sack_permitted: options.sack_permitted,
            timestamps: options.timestamps.map(|t| Timestamps { value: t.value, echo: t.echo }),
        },
        rare: &RareOptions::NONE,
        payload: &[],
    }
}

/// Converts a received header whose only option is a timestamp to a segment.
#[inline(always)]
pub(in crate::shard) fn stamped_segment(
    header: &tcp::Stamped<'_>,
    class: TrafficClass,
) -> Segment<'static> {
    let tcp::Timestamps { value, echo } = header.timestamps();
    Segment {
        seq: SeqNum(header.seq()),
        ack: SeqNum(header.ack()),
        flags: Flags(header.flags()),
        window: header.window(),
        urgent: header.urgent(),
        ecn: Codepoint::from_bits(class.ecn()),
        options: Options { timestamps: Some(Timestamps { value, echo }), ..Options::default() },
        rare: &RareOptions::NONE,
        payload: &[],
    }
}

/// Returns the options that [`segment`] leaves out.
#[inline(never)]
pub(in crate::shard) fn rare_options(options: &tcp::Options<'_>) -> RareOptions {
    RareOptions {
        sack: sack_blocks(options),
        user_timeout: options.user_timeout().and_then(UserTimeout::from_wire),
        accecn: options.accecn().map(byte_counters),
        fast_open: options.fast_open().and_then(fast_open),
    }
}

fn byte_counters(option: tcp::AccEcn) -> ByteCounters {
    let tcp::AccEcn { e0b, ceb, e1b } = option;
    ByteCounters { e0b, ceb, e1b }
}

fn fast_open(option: tcp::FastOpen<'_>) -> Option<FastOpen> {
    let cookie = Cookie::new(option.cookie);
    let form = match option.form {
        tcp::FastOpenForm::Assigned => Form::Assigned,
        tcp::FastOpenForm::Experimental => Form::Experimental,
    };
    (cookie.is_some() || option.cookie.is_empty()).then_some(FastOpen { form, cookie })
}

fn sack_blocks(options: &tcp::Options<'_>) -> SackBlocks {
    let mut blocks = SackBlocks::EMPTY;
    for (left, right) in options.sack() {
        blocks.push(SeqNum(left), SeqNum(right));
    }
    blocks
}

/// Header fields of an outgoing segment that do not come from the TCP connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct HeaderFields {
    pub(in crate::shard) from_mac: MacAddr,
    pub(in crate::shard) to_mac: MacAddr,
    pub(in crate::shard) local: IpAddr,
    pub(in crate::shard) remote: IpAddr,
    pub(in crate::shard) local_port: u16,
    pub(in crate::shard) remote_port: u16,
    /// IPv4 TTL or IPv6 hop limit.
    pub(in crate::shard) hops: u8,
    /// The differentiated services code point: the upper six bits of the traffic class.
    pub(in crate::shard) diffserv: u8,
    /// Flow label, 20 bits, the same for all packets of a flow; IPv6 only.
    pub(in crate::shard) flow_label: u32,
}

/// Writes a segment with all its headers into a frame.
///
/// # Errors
/// Returns [`NoRoom`] if the segment does not fit the frame, or if the addresses are of different
/// families.
#[inline]
pub(in crate::shard) fn write(
    frame: &mut Frame,
    fields: &HeaderFields,
    segment: &SegmentOut<'_>,
) -> Result<(), NoRoom> {
    if segment.payload_len() == 0
        && segment.rare.sack.is_empty()
        && let (IpAddr::V4(src), IpAddr::V4(dst)) = (fields.local, fields.remote)
    {
        let (dst_mac, src_mac, ttl) = (fields.to_mac, fields.from_mac, fields.hops);
        let traffic_class = traffic_class(fields, segment);
        let out = plain::PlainOut { dst_mac, src_mac, src, dst, ttl, traffic_class };
        if let Some(len) = out.emit(&header(fields, segment, &[]), frame.buffer()) {
            frame.set_len(len);
            return Ok(());
        }
    }
    write_any(frame, fields, segment)
}

/// General case: any family, any options, with payload.
fn write_any(
    frame: &mut Frame,
    fields: &HeaderFields,
    segment: &SegmentOut<'_>,
) -> Result<(), NoRoom> {
    let mut sack = [(0, 0); 4];
    let blocks = segment.rare.sack.as_slice();
    for (out, (left, right)) in sack.iter_mut().zip(blocks) {
        *out = (left.0, right.0);
    }
    let header = header(fields, segment, &sack[..blocks.len()]);
    let bytes = frame.buffer();
    let len = match (fields.local, fields.remote) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            const AT: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN;
            let rest = bytes.get_mut(AT..).ok_or(NoRoom)?;
            let len = header.emit(PseudoHeader::v4(src, dst), segment.payload, rest)?;
            let ip = ipv4::HeaderOut {
                src,
                dst,
                protocol: Protocol::TCP,
                ttl: fields.hops,
                traffic_class: traffic_class(fields, segment),
                ident: 0,
                fragment: ipv4::Fragment::DONT,
            };
            write_ethernet(fields, EtherType::IPV4, bytes)?;
            ip.emit(len, bytes.get_mut(ethernet::HEADER_LEN..).ok_or(NoRoom)?)?;
            AT + len
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            const AT: usize = ethernet::HEADER_LEN + ipv6::HEADER_LEN;
            let rest = bytes.get_mut(AT..).ok_or(NoRoom)?;
            let len = header.emit(PseudoHeader::v6(src, dst), segment.payload, rest)?;
            let ip = ipv6::HeaderOut {
                src,
                dst,
                protocol: Protocol::TCP,
                hop_limit: fields.hops,
                traffic_class: traffic_class(fields, segment),
                flow_label: fields.flow_label,
            };
            write_ethernet(fields, EtherType::IPV6, bytes)?;
            ip.emit(len, bytes.get_mut(ethernet::HEADER_LEN..).ok_or(NoRoom)?)?;
            AT + len
        }
        _ => return Err(NoRoom),
    };
    frame.set_len(len);
    Ok(())
}

fn write_ethernet(
    fields: &HeaderFields,
    ethertype: EtherType,
    bytes: &mut [u8],
) -> Result<(), NoRoom> {
    let (dst, src) = (fields.to_mac, fields.from_mac);
    ethernet::Header { dst, src, ethertype, vlan: vlan::Tags::NONE }.emit(bytes).map(|_| ())
}

#[inline(always)]
fn header<'a>(
    fields: &HeaderFields,
    segment: &'a SegmentOut<'_>,
    sack: &'a [(u32, u32)],
) -> tcp::HeaderOut<'a> {
    let (options, rare) = (&segment.options, &segment.rare);
    tcp::HeaderOut {
        src_port: fields.local_port,
        dst_port: fields.remote_port,
        seq: segment.seq.0,
        ack: segment.ack.0,
        window: segment.window,
        urgent: segment.urgent,
        flags: segment.flags.0,
        options: tcp::OptionsOut {
            mss: options.mss,
            window_shift: options.window_shift.map(WindowShift::get),
            sack_permitted: options.sack_permitted,
            timestamps: options
                .timestamps
                .map(|t| tcp::Timestamps { value: t.value, echo: t.echo }),
            sack,
            user_timeout: rare.user_timeout.map(UserTimeout::to_wire),
            accecn: rare.accecn.map(|counters| {
                let ByteCounters { e0b, ceb, e1b } = counters;
                tcp::AccEcn { e0b, ceb, e1b }
            }),
            fast_open: rare.fast_open.as_ref().map(|option| tcp::FastOpen {
                form: match option.form {
                    Form::Assigned => tcp::FastOpenForm::Assigned,
                    Form::Experimental => tcp::FastOpenForm::Experimental,
                },
                cookie: option.cookie.as_ref().map_or(&[], Cookie::as_slice),
            }),
        },
    }
}

/// Returns the traffic class: the program's six DSCP bits and the protocol's two ECN bits (RFC 3168
/// §5).
#[inline(always)]
const fn traffic_class(fields: &HeaderFields, segment: &SegmentOut<'_>) -> TrafficClass {
    TrafficClass(fields.diffserv << 2 | segment.ecn.bits())
}
