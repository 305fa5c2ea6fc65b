//! A batch of received frames: the segments among them, checked, and the other packets.
//!
//! Owns the batch's vectors, reused from turn to turn.

use crate::link::Frame;
use crate::shard::codec;
use crate::shard::flow::key::FlowKey;
use crate::shard::mem::inbox::Inbox;
use crate::shard::rx::groups::Groups;
use crate::tcp::{RareOptions, Segment};
use crate::wire::{MacAddr, tcp};

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
    pub(super) payload_at: u32,
    pub(super) payload_len: u32,
    /// Where its rare options are kept, plus one; 0 where it has none.
    pub(super) rare_at: u32,
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

    pub(super) fn clear(&mut self) {
        self.each.clear();
        self.groups.clear();
        self.rare.clear();
    }

    /// Keeps the rare options of a header, and tells where.
    #[inline]
    pub(super) fn keep_rare(&mut self, options: &tcp::Options<'_>) -> u32 {
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
    pub(in crate::shard) fn was_fragmented(&self, source: Source) -> bool {
        matches!(source, Source::Inbox(at) if self.inbox.was_fragmented(at as usize))
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
}
