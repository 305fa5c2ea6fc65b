//! From frames to segments: parses and checks all headers of a batch, hashes all flow keys, and
//! prefetches the memory of the next step, before the protocol processes the first segment.
//!
//! Refuses to know what a segment means.

use core::net::IpAddr;

use crate::metrics::DropReason;
use crate::shard::codec;
use crate::shard::flow::key::{FlowHasher, FlowKey};
use crate::shard::ip::locals::Locals;
use crate::shard::ip::refusal::refused;
use crate::shard::mem::processor::prefetch_bytes;
use crate::shard::rx::batch::{Arrival, Arrivals, Batch, Control, Source};
use crate::tcp::Segment;
use crate::wire::checksum::{PseudoHeader, Verdict};
use crate::wire::{
    self, EtherType, MacAddr, Protocol, SourceKind, TrafficClass, ethernet, ipv4, ipv6, plain, tcp,
};

/// Number of frames by which the headers are prefetched. Frames lie at multiples of 2 or 4 KiB, so
/// their headers share a few sets of the L1 cache: with a larger number they evict each other.
const PREFETCH_AHEAD: usize = 8;

/// Result of parsing a frame: `None` for a segment, which was appended to the arrivals, or the kind
/// of another packet.
pub(in crate::shard) type Parsed = Result<Option<Control>, DropReason>;

/// The parts of the shard that parsing needs.
pub(in crate::shard) struct RxFilter<'a> {
    pub(in crate::shard) mac: MacAddr,
    pub(in crate::shard) locals: &'a Locals,
    pub(in crate::shard) hasher: &'a FlowHasher,
    pub(in crate::shard) accept_partial_checksums: bool,
}

impl Batch {
    /// Parses and checks all frames. Calls `refuse` for each frame that is dropped.
    pub(in crate::shard) fn parse(
        &mut self,
        filter: &RxFilter<'_>,
        mut refuse: impl FnMut(DropReason),
    ) {
        self.arrivals.clear();
        self.control.clear();
        let Self { frames, inbox, arrivals, control } = self;
        let mut sort = |source, parsed| match parsed {
            Ok(None) => {}
            Ok(Some(kind)) => control.push((source, kind)),
            Err(reason) => refuse(reason),
        };
        for frame in frames.iter().take(PREFETCH_AHEAD) {
            prefetch_bytes(frame);
        }
        for (at, frame) in frames.iter().enumerate() {
            if let Some(next) = frames.get(at + PREFETCH_AHEAD) {
                prefetch_bytes(next);
            }
            let source = Source::Link(at as u32);
            sort(source, filter.parse(frame, source, arrivals));
        }
        for at in 0..inbox.len() {
            let source = Source::Inbox(at as u32);
            sort(source, filter.parse_any(inbox.frame(at).0, source, arrivals));
        }
    }
}

/// A frame with its outermost header.
struct Outer<'a> {
    frame: &'a [u8],
    source: Source,
    header: ethernet::Header,
}

/// View of the TCP header of a plain segment, in either parsed form.
trait HeaderView {
    /// Returns the source port and the destination port.
    fn ports(&self) -> (u16, u16);
    /// Returns the segment without payload and rare options, and the index of the rare options plus
    /// one, which it stores in `arrivals`.
    fn head(&self, class: TrafficClass, arrivals: &mut Arrivals) -> (Segment<'static>, u32);
}

impl HeaderView for tcp::Stamped<'_> {
    #[inline(always)]
    fn ports(&self) -> (u16, u16) {
        (self.src_port(), self.dst_port())
    }

    #[inline(always)]
    fn head(&self, class: TrafficClass, _: &mut Arrivals) -> (Segment<'static>, u32) {
        (codec::stamped_segment(self, class), 0)
    }
}

impl HeaderView for tcp::Header<'_> {
    #[inline(always)]
    fn ports(&self) -> (u16, u16) {
        (self.src_port, self.dst_port)
    }

    #[inline(always)]
    fn head(&self, class: TrafficClass, arrivals: &mut Arrivals) -> (Segment<'static>, u32) {
        (codec::segment(self, class), arrivals.store_rare(&self.options))
    }
}

impl RxFilter<'_> {
    /// Parses a frame and admits it: plain segments on the fast path, everything else on the slow
    /// path.
    #[inline]
    pub(in crate::shard) fn parse(
        &self,
        frame: &[u8],
        source: Source,
        arrivals: &mut Arrivals,
    ) -> Parsed {
        if let Some(plain) = plain::parse(frame, self.mac) {
            let admitted = match tcp::parse_stamped(plain.segment) {
                Some(parts) => self.admit_plain(&plain, parts, source, arrivals),
                None => self.admit_unstamped(plain, source, arrivals),
            };
            if admitted {
                return Ok(None);
            }
        }
        self.parse_any(frame, source, arrivals)
    }

    /// Admits a plain segment of a handshake, or of a peer without timestamps.
    #[inline(never)]
    fn admit_unstamped(
        &self,
        plain: plain::Plain<'_>,
        source: Source,
        arrivals: &mut Arrivals,
    ) -> bool {
        let parts = tcp::parse(plain.segment);
        parts.is_ok_and(|parts| self.admit_plain(&plain, parts, source, arrivals))
    }

    /// Appends a plain segment to the arrivals if it is from a remote host to a local address. The
    /// slow path finds and names any other defect.
    #[inline(always)]
    fn admit_plain(
        &self,
        plain: &plain::Plain<'_>,
        (header, payload): (impl HeaderView, &[u8]),
        source: Source,
        arrivals: &mut Arrivals,
    ) -> bool {
        let Some(local) = self.locals.find_v4(plain.dst()) else { return false };
        let host = wire::source_kind_v4(plain.src()) == SourceKind::Host;
        let (src_port, dst_port) = header.ports();
        let ports = src_port != 0 && dst_port != 0;
        if !host || !ports || self.locals.holds_v4(plain.src()) {
            return false;
        }
        let key = FlowKey::new(plain.src().into(), src_port, local, dst_port);
        let hash = self.hasher.hash(&key);
        let (head, rare_at) = header.head(plain.traffic_class(), arrivals);
        arrivals.segments.push(Arrival {
            hash,
            key,
            head,
            payload_at: (plain::SEGMENT_AT + plain.segment.len() - payload.len()) as u32,
            payload_len: payload.len() as u32,
            rare_at,
            source,
            src_mac: plain.src_mac(),
        });
        true
    }

    /// The slow path, which states the rule of admission in full. The fast path agrees with it on
    /// every frame (`tests/admission`).
    #[inline(never)]
    pub(in crate::shard) fn parse_any(
        &self,
        frame: &[u8],
        source: Source,
        arrivals: &mut Arrivals,
    ) -> Parsed {
        let (header, packet) = ethernet::parse(frame).map_err(refused)?;
        // A tag with a VLAN identifier belongs to another network; a priority tag does not.
        if header.vlan.outer.is_some_and(|tag| tag.id() != 0) || header.vlan.inner.is_some() {
            return Err(DropReason::NotOurs);
        }
        if header.dst != self.mac && !header.dst.is_multicast() {
            return Err(DropReason::NotOurs);
        }
        let outer = Outer { frame, source, header };
        match header.ethertype {
            EtherType::IPV4 => self.parse_v4(&outer, packet, arrivals),
            EtherType::IPV6 => self.parse_v6(&outer, packet, arrivals),
            EtherType::ARP => Ok(Some(Control::Arp)),
            _ => Err(DropReason::UnknownProtocol),
        }
    }

    #[inline]
    fn parse_v4(&self, outer: &Outer<'_>, packet: &[u8], arrivals: &mut Arrivals) -> Parsed {
        let (ip, payload) = ipv4::parse(packet).map_err(|error| match error {
            wire::Error::Checksum => DropReason::Ipv4Checksum,
            other => refused(other),
        })?;
        let local = self.locals.find(IpAddr::V4(ip.dst)).ok_or(DropReason::NotOurs)?;
        if wire::source_kind_v4(ip.src) != SourceKind::Host {
            return Err(DropReason::BadSource);
        }
        match ip.protocol {
            Protocol::TCP | Protocol::ICMP if ip.fragment.is_fragment() => {
                Ok(Some(Control::Fragment))
            }
            Protocol::TCP => {
                let header = checked(outer, PseudoHeader::v4(ip.src, ip.dst), payload, self)?;
                self.admit(outer, (ip.src.into(), local, ip.traffic_class), header, arrivals)
            }
            Protocol::ICMP => Ok(Some(Control::IcmpV4)),
            _ => Err(DropReason::UnknownProtocol),
        }
    }

    #[inline]
    fn parse_v6(&self, outer: &Outer<'_>, packet: &[u8], arrivals: &mut Arrivals) -> Parsed {
        let (ip, payload) = match ipv6::parse(packet) {
            Ok(parts) => parts,
            Err(wire::Error::Unsupported) => return Ok(Some(Control::Unsupported)),
            Err(error) => return Err(refused(error)),
        };
        let local = self.locals.find(IpAddr::V6(ip.dst));
        if ip.fragment.is_some() {
            // The next-header field counts in the first fragment alone (RFC 8200 §4.5).
            let ours = local.is_some() && wire::source_kind_v6(ip.src) == SourceKind::Host;
            return if ours { Ok(Some(Control::Fragment)) } else { Err(DropReason::NotOurs) };
        }
        if ip.protocol == Protocol::ICMPV6 && (local.is_some() || ip.dst.is_multicast()) {
            // Neighbour discovery also uses the unspecified source address (RFC 4862 §5.4).
            return Ok(Some(Control::IcmpV6));
        }
        let local = local.ok_or(DropReason::NotOurs)?;
        if wire::source_kind_v6(ip.src) != SourceKind::Host {
            return Err(DropReason::BadSource);
        }
        if ip.protocol != Protocol::TCP {
            return Err(DropReason::UnknownProtocol);
        }
        let header = checked(outer, PseudoHeader::v6(ip.src, ip.dst), payload, self)?;
        self.admit(outer, (ip.src.into(), local, ip.traffic_class), header, arrivals)
    }

    /// Appends a checked segment to the arrivals.
    #[inline]
    fn admit(
        &self,
        outer: &Outer<'_>,
        (remote, local, class): (IpAddr, u8, TrafficClass),
        (header, payload): (tcp::Header<'_>, &[u8]),
        arrivals: &mut Arrivals,
    ) -> Parsed {
        // RFC 9293 §3.9.2.3:
        //   > An incoming SYN with an invalid source address MUST be ignored (MUST-63).
        // A local address as source is invalid: a reply would never leave the host.
        if self.locals.find(remote).is_some() {
            return Err(DropReason::BadSource);
        }
        let key = FlowKey::new(remote, header.src_port, local, header.dst_port);
        let rare_at = arrivals.store_rare(&header.options);
        arrivals.segments.push(Arrival {
            hash: self.hasher.hash(&key),
            key,
            head: codec::segment(&header, class),
            payload_at: (payload.as_ptr().addr() - outer.frame.as_ptr().addr()) as u32,
            payload_len: payload.len() as u32,
            rare_at,
            source: outer.source,
            src_mac: outer.header.src,
        });
        Ok(None)
    }
}

/// Returns a TCP header with valid checksum and ports, and its payload.
#[inline]
fn checked<'a>(
    outer: &Outer<'_>,
    pseudo: PseudoHeader,
    bytes: &'a [u8],
    filter: &RxFilter<'_>,
) -> Result<(tcp::Header<'a>, &'a [u8]), DropReason> {
    // RFC 9293 §3.9.2.3:
    //   > A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a
    //   > broadcast or multicast address (MUST-57).
    // No local IP address is a group address, but a frame to a group MAC address may carry one.
    if outer.header.dst.is_multicast() {
        return Err(DropReason::NotOurs);
    }
    match tcp::verify(pseudo, bytes) {
        Verdict::Good => {}
        Verdict::PseudoHeaderOnly if filter.accept_partial_checksums => {}
        Verdict::PseudoHeaderOnly => return Err(DropReason::PartialChecksum),
        Verdict::Bad => return Err(DropReason::TcpChecksum),
    }
    let (header, payload) = tcp::parse(bytes).map_err(refused)?;
    if header.src_port == 0 || header.dst_port == 0 {
        return Err(DropReason::Malformed);
    }
    Ok((header, payload))
}
