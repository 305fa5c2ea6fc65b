//! From frames to arrivals: all headers of a batch parsed and checked, all flow keys hashed, and the
//! memory that will be needed asked for, before the first segment is fed to the protocol.
//!
//! Owns the batch's vectors, reused from turn to turn. Refuses to know what a segment means.

use core::net::IpAddr;

use crate::link::Frame;
use crate::metrics::DropReason;
use crate::shard::codec;
use crate::shard::flow::key::{FlowHasher, FlowKey};
use crate::shard::ip::locals::Locals;
use crate::shard::mem::processor::prefetch_bytes;
use crate::shard::rx::groups::Groups;
use crate::shard::rx::handover::Inbox;
use crate::tcp::{RareOptions, Segment};
use crate::wire::checksum::{PseudoHeader, Verdict};
use crate::wire::{
    self, EtherType, MacAddr, Protocol, SourceKind, TrafficClass, ethernet, ipv4, ipv6, plain, tcp,
};

/// How many frames ahead of the one being parsed headers are fetched. Frames lie at multiples of 2 or 4 KiB,
/// so that their headers share a few sets of the first-level cache: many more push each other out again.
const AHEAD: usize = 8;

/// Where the bytes of an arrival are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Source {
    /// In a frame of the link.
    Link(u32),
    /// In the inbox: another worker handed it here.
    Inbox(u32),
}

/// A segment for one of our addresses, checked.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Arrival {
    pub(in crate::shard) hash: u64,
    pub(in crate::shard) key: FlowKey,
    /// All but the payload and the rare options.
    pub(in crate::shard) head: Segment<'static>,
    payload_at: u32,
    payload_len: u32,
    /// Where its rare options are kept, plus one; 0 where it has none.
    rare_at: u32,
    pub(in crate::shard) source: Source,
    /// Who put the frame on the link: where an answer without a flow goes.
    pub(in crate::shard) from: MacAddr,
}

/// The segments of a batch, in order.
#[derive(Debug, Default)]
pub(in crate::shard) struct Arrivals {
    pub(in crate::shard) each: Vec<Arrival>,
    /// In which order they are fed: known once all were looked up.
    pub(in crate::shard) groups: Groups,
    /// The options that few of them have.
    rare: Vec<RareOptions>,
}

impl Arrivals {
    /// Room for `batch` of each kind.
    fn with_capacity(batch: usize) -> Self {
        Self {
            each: Vec::with_capacity(batch),
            groups: Groups::with_capacity(batch),
            rare: Vec::with_capacity(batch),
        }
    }

    fn clear(&mut self) {
        self.each.clear();
        self.groups.clear();
        self.rare.clear();
    }

    /// Keeps the rare options of a header, and tells where.
    #[inline]
    fn keep_rare(&mut self, options: &tcp::Options<'_>) -> u32 {
        if !options.has_rare() {
            return 0;
        }
        self.rare.push(codec::rare_options(options));
        self.rare.len() as u32
    }

    fn rare(&self, arrival: &Arrival) -> &RareOptions {
        let at = arrival.rare_at.checked_sub(1);
        at.and_then(|at| self.rare.get(at as usize)).unwrap_or_default()
    }
}

/// What is to be done about a frame that is not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Control {
    Arp,
    IcmpV4,
    IcmpV6,
    Fragment,
    /// An IPv6 packet whose headers ask for what is not done here.
    Unsupported,
}

/// What a frame turned out to be: a segment, which is among the arrivals now, or something else.
type Parsed = Result<Option<Control>, DropReason>;

/// What parsing must know of the shard.
pub(in crate::shard) struct Eyes<'a> {
    pub(in crate::shard) mac: MacAddr,
    pub(in crate::shard) locals: &'a Locals,
    pub(in crate::shard) hasher: &'a FlowHasher,
    pub(in crate::shard) accept_partial_checksums: bool,
}

/// A batch, from the link and from other workers.
#[derive(Debug, Default)]
pub(in crate::shard) struct Batch {
    pub(in crate::shard) frames: Vec<Frame>,
    pub(in crate::shard) inbox: Inbox,
    pub(in crate::shard) arrivals: Arrivals,
    pub(in crate::shard) control: Vec<(Source, Control)>,
}

impl Batch {
    /// Vectors for `batch` frames a turn.
    pub(in crate::shard) fn with_capacity(batch: usize) -> Self {
        Self {
            frames: Vec::with_capacity(batch),
            arrivals: Arrivals::with_capacity(batch),
            control: Vec::with_capacity(batch),
            ..Self::default()
        }
    }

    /// The bytes of a frame, and how many workers have seen it before.
    #[inline]
    pub(in crate::shard) fn bytes(&self, source: Source) -> (&[u8], u8) {
        match source {
            Source::Link(at) => (&self.frames[at as usize], 0),
            Source::Inbox(at) => self.inbox.frame(at as usize),
        }
    }

    /// How many workers have seen a frame before.
    #[inline]
    pub(in crate::shard) fn hops(&self, source: Source) -> u8 {
        match source {
            Source::Link(_) => 0,
            Source::Inbox(at) => self.inbox.frame(at as usize).1,
        }
    }

    /// Whether a frame came in parts.
    pub(in crate::shard) fn was_cut(&self, source: Source) -> bool {
        matches!(source, Source::Inbox(at) if self.inbox.was_cut(at as usize))
    }

    /// The segment of an arrival with its payload, which stays where it lies in the frame, and its rare
    /// options; `None` where the head is all of it, so that what opens and closes is not copied.
    #[inline]
    pub(in crate::shard) fn with_rest(&self, arrival: &Arrival) -> Option<Segment<'_>> {
        if arrival.payload_len == 0 && arrival.rare_at == 0 {
            return None;
        }
        let start = arrival.payload_at as usize;
        let (bytes, _) = self.bytes(arrival.source);
        let payload = &bytes[start..start + arrival.payload_len as usize];
        Some(Segment { payload, rare: self.arrivals.rare(arrival), ..arrival.head })
    }

    /// Parses and checks everything; `refuse` is told of each frame that goes no further.
    pub(in crate::shard) fn parse(&mut self, eyes: &Eyes<'_>, mut refuse: impl FnMut(DropReason)) {
        self.arrivals.clear();
        self.control.clear();
        let Self { frames, inbox, arrivals, control } = self;
        let mut take = |source, parsed| match parsed {
            Ok(None) => {}
            Ok(Some(kind)) => control.push((source, kind)),
            Err(reason) => refuse(reason),
        };
        for frame in frames.iter().take(AHEAD) {
            prefetch_bytes(frame);
        }
        for (at, frame) in frames.iter().enumerate() {
            if let Some(next) = frames.get(at + AHEAD) {
                prefetch_bytes(next);
            }
            let source = Source::Link(at as u32);
            take(source, eyes.parse(frame, source, arrivals));
        }
        for at in 0..inbox.len() {
            let source = Source::Inbox(at as u32);
            take(source, eyes.parse_any(inbox.frame(at).0, source, arrivals));
        }
    }
}

/// A frame with its outermost header.
struct Outer<'a> {
    frame: &'a [u8],
    source: Source,
    header: ethernet::Header,
}

/// What is needed of the header of a plain segment, however it was read: the rest when it is admitted.
trait Outline {
    /// The sender's port and the receiver's.
    fn ports(&self) -> (u16, u16);
    /// The segment without data and rare options, for which there is room in `arrivals`, and where they are then.
    fn head(&self, class: TrafficClass, arrivals: &mut Arrivals) -> (Segment<'static>, u32);
}

impl Outline for tcp::Stamped<'_> {
    #[inline(always)]
    fn ports(&self) -> (u16, u16) {
        (self.src_port(), self.dst_port())
    }

    #[inline(always)]
    fn head(&self, class: TrafficClass, _: &mut Arrivals) -> (Segment<'static>, u32) {
        (codec::stamped_segment(self, class), 0)
    }
}

impl Outline for tcp::Header<'_> {
    #[inline(always)]
    fn ports(&self) -> (u16, u16) {
        (self.src_port, self.dst_port)
    }

    #[inline(always)]
    fn head(&self, class: TrafficClass, arrivals: &mut Arrivals) -> (Segment<'static>, u32) {
        (codec::segment(self, class), arrivals.keep_rare(&self.options))
    }
}

impl Eyes<'_> {
    #[inline]
    fn parse(&self, frame: &[u8], source: Source, arrivals: &mut Arrivals) -> Parsed {
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

    /// The same for the headers of handshakes, and of peers without timestamps.
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

    /// Puts a plain segment among the arrivals, if it is one of a stranger to one of us. Whatever is wrong
    /// with it is found and named on the long way.
    #[inline(always)]
    fn admit_plain(
        &self,
        plain: &plain::Plain<'_>,
        (header, payload): (impl Outline, &[u8]),
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
        arrivals.each.push(Arrival {
            hash,
            key,
            head,
            payload_at: (plain::SEGMENT_AT + plain.segment.len() - payload.len()) as u32,
            payload_len: payload.len() as u32,
            rare_at,
            source,
            from: plain.src_mac(),
        });
        true
    }

    #[inline(never)]
    fn parse_any(&self, frame: &[u8], source: Source, arrivals: &mut Arrivals) -> Parsed {
        let (header, packet) = ethernet::parse(frame).map_err(refused)?;
        // A tag with an identifier is of a network that is not ours; a priority tag says nothing.
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
            // What a part announces counts for the first one alone (RFC 8200 §4.5).
            let ours = local.is_some() && wire::source_kind_v6(ip.src) == SourceKind::Host;
            return if ours { Ok(Some(Control::Fragment)) } else { Err(DropReason::NotOurs) };
        }
        if ip.protocol == Protocol::ICMPV6 && (local.is_some() || ip.dst.is_multicast()) {
            // Neighbour discovery comes from the unspecified address too (RFC 4862 §5.4).
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

    /// Puts a checked segment among the arrivals.
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
        // Our own address as another's source is such: an answer would never leave the host.
        if self.locals.find(remote).is_some() {
            return Err(DropReason::BadSource);
        }
        let key = FlowKey::new(remote, header.src_port, local, header.dst_port);
        let rare_at = arrivals.keep_rare(&header.options);
        arrivals.each.push(Arrival {
            hash: self.hasher.hash(&key),
            key,
            head: codec::segment(&header, class),
            payload_at: (payload.as_ptr().addr() - outer.frame.as_ptr().addr()) as u32,
            payload_len: payload.len() as u32,
            rare_at,
            source: outer.source,
            from: outer.header.src,
        });
        Ok(None)
    }
}

/// A TCP header whose sum and ports are right, and its payload.
#[inline]
fn checked<'a>(
    outer: &Outer<'_>,
    pseudo: PseudoHeader,
    bytes: &'a [u8],
    eyes: &Eyes<'_>,
) -> Result<(tcp::Header<'a>, &'a [u8]), DropReason> {
    // RFC 9293 §3.9.2.3:
    //   > A TCP implementation MUST silently discard an incoming SYN segment that is addressed to a
    //   > broadcast or multicast address (MUST-57).
    // IP addresses of groups are none of ours; frames to groups may still carry one of ours.
    if outer.header.dst.is_multicast() {
        return Err(DropReason::NotOurs);
    }
    match tcp::verify(pseudo, bytes) {
        Verdict::Good => {}
        Verdict::PseudoHeaderOnly if eyes.accept_partial_checksums => {}
        Verdict::PseudoHeaderOnly => return Err(DropReason::PartialChecksum),
        Verdict::Bad => return Err(DropReason::TcpChecksum),
    }
    let (header, payload) = tcp::parse(bytes).map_err(refused)?;
    if header.src_port == 0 || header.dst_port == 0 {
        return Err(DropReason::Malformed);
    }
    Ok((header, payload))
}

fn refused(error: wire::Error) -> DropReason {
    match error {
        wire::Error::Truncated => DropReason::Truncated,
        wire::Error::Malformed | wire::Error::Checksum => DropReason::Malformed,
        wire::Error::Unsupported => DropReason::UnknownProtocol,
    }
}
