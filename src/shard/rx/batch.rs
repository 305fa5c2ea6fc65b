//! A batch of received frames: the checked segments among them, and the other packets.
//!
//! Owns the batch's vectors, which are reused every turn.

use crate::link::Frame;
use crate::shard::codec;
use crate::shard::flow::key::FlowKey;
use crate::shard::mem::inbox::Inbox;
use crate::shard::rx::groups::Groups;
use crate::tcp::{RareOptions, Segment};
use crate::wire::{MacAddr, tcp};

/// Location of the bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Source {
    /// In a frame of the link.
    Link(u32),
    /// In the inbox: handed over by another worker, or reassembled.
    Inbox(u32),
}

/// A checked segment for a local address.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Arrival {
    pub(in crate::shard) hash: u64,
    pub(in crate::shard) key: FlowKey,
    /// The segment without its payload and its rare options.
    pub(in crate::shard) head: Segment<'static>,
    pub(super) payload_at: u32,
    pub(super) payload_len: u32,
    /// Index of the rare options plus one; 0 without any.
    pub(super) rare_at: u32,
    pub(in crate::shard) source: Source,
    /// Sender's MAC address, the destination of replies without a flow.
    pub(in crate::shard) src_mac: MacAddr,
}

/// The segments of a batch, in order.
#[derive(Debug, Default)]
pub(in crate::shard) struct Arrivals {
    pub(in crate::shard) segments: Vec<Arrival>,
    /// Groups in which the segments are processed, filled by the lookup.
    pub(in crate::shard) groups: Groups,
    /// Rare options of the few segments that have them.
    rare: Vec<RareOptions>,
}

impl Arrivals {
    /// Creates vectors with room for `batch` segments.
    fn with_capacity(batch: usize) -> Self {
        Self {
            segments: Vec::with_capacity(batch),
            groups: Groups::with_capacity(batch),
            rare: Vec::with_capacity(batch),
        }
    }

    pub(super) fn clear(&mut self) {
        self.segments.clear();
        self.groups.clear();
        self.rare.clear();
    }

    /// Stores the rare options of a header. Returns their index plus one, or 0 without any.
    #[inline]
    pub(super) fn store_rare(&mut self, options: &tcp::Options<'_>) -> u32 {
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

/// Kind of a packet that is not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Control {
    Arp,
    IcmpV4,
    IcmpV6,
    Fragment,
    /// An IPv6 packet whose extension headers require something unsupported.
    Unsupported,
}

/// A batch of frames, from the link and from other workers.
#[derive(Debug, Default)]
pub(in crate::shard) struct Batch {
    pub(in crate::shard) frames: Vec<Frame>,
    pub(in crate::shard) inbox: Inbox,
    pub(in crate::shard) arrivals: Arrivals,
    pub(in crate::shard) control: Vec<(Source, Control)>,
}

impl Batch {
    /// Creates vectors with room for `batch` frames.
    pub(in crate::shard) fn with_capacity(batch: usize) -> Self {
        Self {
            frames: Vec::with_capacity(batch),
            arrivals: Arrivals::with_capacity(batch),
            control: Vec::with_capacity(batch),
            ..Self::default()
        }
    }

    /// Returns the bytes of a frame, and the number of workers that have seen it before.
    #[inline]
    pub(in crate::shard) fn bytes(&self, source: Source) -> (&[u8], u8) {
        match source {
            Source::Link(at) => (&self.frames[at as usize], 0),
            Source::Inbox(at) => self.inbox.frame(at as usize),
        }
    }

    /// Returns the number of workers that have seen the frame before.
    #[inline]
    pub(in crate::shard) fn hops(&self, source: Source) -> u8 {
        match source {
            Source::Link(_) => 0,
            Source::Inbox(at) => self.inbox.frame(at as usize).1,
        }
    }

    /// Returns true if a frame was reassembled from fragments.
    pub(in crate::shard) fn was_fragmented(&self, source: Source) -> bool {
        matches!(source, Source::Inbox(at) if self.inbox.was_fragmented(at as usize))
    }

    /// Returns the segment of an arrival with its payload, which stays in the frame, and its rare
    /// options. Returns `None` if the head is all of it, so that segments that open and close
    /// connections are not copied.
    #[inline]
    pub(in crate::shard) fn full_segment(&self, arrival: &Arrival) -> Option<Segment<'_>> {
        if arrival.payload_len == 0 && arrival.rare_at == 0 {
            return None;
        }
        let start = arrival.payload_at as usize;
        let (bytes, _) = self.bytes(arrival.source);
        let payload = &bytes[start..start + arrival.payload_len as usize];
        Some(Segment { payload, rare: self.arrivals.rare(arrival), ..arrival.head })
    }
}
