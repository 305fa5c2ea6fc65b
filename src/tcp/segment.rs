//! A segment as the protocol sees it: validated, typed, independent of the wire format.
//! `shard/codec` converts between segments and frames.

use core::num::NonZeroU16;

use crate::tcp::{ByteCounters, Codepoint, FastOpen, SeqNum, WindowShift};
use crate::time::Duration;

/// The control bits (RFC 9293 §3.1), in wire order: FIN is bit 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(0x20);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(0x80);
    /// Accurate ECN (RFC 9768).
    pub const AE: Self = Self(0x100);

    /// Returns true if all bits of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns true if any bit of `other` is set.
    #[inline]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the union of both.
    #[inline]
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns these bits without those of `other`.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Returns true if SYN is set.
    #[inline]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }
    /// Returns true if ACK is set.
    #[inline]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }
    /// Returns true if FIN is set.
    #[inline]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }
    /// Returns true if RST is set.
    #[inline]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }
    /// Returns true if PSH is set.
    #[inline]
    pub const fn psh(self) -> bool {
        self.contains(Self::PSH)
    }
    /// Returns true if URG is set.
    #[inline]
    pub const fn urg(self) -> bool {
        self.contains(Self::URG)
    }
}

/// The timestamps option (RFC 7323 §3.2): the sender's clock and the echo of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval.
    pub value: u32,
    /// TSecr; meaningful only with ACK.
    pub echo: u32,
}

/// Up to four blocks of the SACK option (RFC 2018 §3): left edge, right edge (exclusive).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SackBlocks {
    blocks: [(SeqNum, SeqNum); 4],
    len: u8,
}

impl SackBlocks {
    /// No blocks.
    pub const EMPTY: Self = Self { blocks: [(SeqNum(0), SeqNum(0)); 4], len: 0 };

    /// Adds a block. A fifth block is dropped, since the option space holds four.
    pub fn push(&mut self, left: SeqNum, right: SeqNum) {
        if let Some(block) = self.blocks.get_mut(usize::from(self.len)) {
            *block = (left, right);
            self.len += 1;
        }
    }

    /// Returns the blocks in option order: the most recent first.
    pub fn as_slice(&self) -> &[(SeqNum, SeqNum)] {
        &self.blocks[..usize::from(self.len)]
    }

    /// Returns the blocks for reordering.
    pub(super) fn as_mut_slice(&mut self) -> &mut [(SeqNum, SeqNum)] {
        &mut self.blocks[..usize::from(self.len)]
    }

    /// Returns true if there are no blocks.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The user timeout option (RFC 5482 §3.3): a time in seconds, or in minutes if the highest bit is
/// set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserTimeout(NonZeroU16);

impl UserTimeout {
    /// Length of the option in bytes.
    pub(super) const OPTION_LEN: u32 = 4;
    /// The unit bit: set for minutes.
    const MINUTES: u16 = 0x8000;
    /// The largest time in either unit.
    const TIME_MAX: u16 = 0x7fff;

    /// Parses the option's two bytes. A time of zero is ignored.
    pub fn from_wire(raw: u16) -> Option<Self> {
        NonZeroU16::new(raw).filter(|raw| raw.get() & Self::TIME_MAX != 0).map(Self)
    }

    /// Returns the option's two bytes.
    pub const fn to_wire(self) -> u16 {
        self.0.get()
    }

    /// Returns the shortest encodable time that is not below `span`: in seconds if they fit, else
    /// in minutes.
    pub fn from_span(span: Duration) -> Self {
        let seconds = span.as_millis().div_ceil(1000).max(1);
        let raw = match u16::try_from(seconds) {
            Ok(seconds) if seconds <= Self::TIME_MAX => seconds,
            _ => seconds.div_ceil(60).min(u64::from(Self::TIME_MAX)) as u16 | Self::MINUTES,
        };
        Self(NonZeroU16::new(raw).unwrap_or(NonZeroU16::MIN))
    }

    /// Returns the time.
    pub const fn span(self) -> Duration {
        let time = (self.0.get() & Self::TIME_MAX) as u64;
        let unit = if self.0.get() & Self::MINUTES != 0 { 60 } else { 1 };
        Duration::from_secs(time * unit)
    }
}

/// The common options of one segment. An absent option was not sent or was malformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Maximum segment size (RFC 9293 §3.7.1), bytes; SYN only.
    pub mss: Option<u16>,
    /// Window scale (RFC 7323 §2); SYN only.
    pub window_shift: Option<WindowShift>,
    /// SACK-permitted (RFC 2018 §2); SYN only.
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323 §3).
    pub timestamps: Option<Timestamps>,
}

/// The rare options, separate from the common ones: most segments are copied without them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RareOptions {
    /// SACK (RFC 2018 §3).
    pub sack: SackBlocks,
    /// The user timeout (RFC 5482).
    pub user_timeout: Option<UserTimeout>,
    /// The byte counters of Accurate ECN (RFC 9768 §3.2.3).
    pub accecn: Option<ByteCounters>,
    /// Fast Open (RFC 7413 §4.1.1); SYN only.
    pub fast_open: Option<FastOpen>,
}

impl RareOptions {
    /// No rare options.
    pub const NONE: Self =
        Self { sack: SackBlocks::EMPTY, user_timeout: None, accecn: None, fast_open: None };
}

impl Default for &RareOptions {
    fn default() -> Self {
        &RareOptions::NONE
    }
}

/// A segment that arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment<'a> {
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK; meaningful only with ACK.
    pub ack: SeqNum,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND as on the wire, unscaled.
    pub window: u16,
    /// SEG.UP; meaningful only with URG.
    pub urgent: u16,
    /// The ECN codepoint of the received packet (RFC 3168 §5).
    pub ecn: Codepoint,
    /// The common options.
    pub options: Options,
    /// The rare options.
    pub rare: &'a RareOptions,
    /// The data, after the options.
    pub payload: &'a [u8],
}

impl Segment<'_> {
    /// Returns SEG.LEN: data plus one each for SYN and FIN (RFC 9293 §3.4).
    #[inline]
    pub fn len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.flags.syn()) + u32::from(self.flags.fin())
    }

    /// Returns true if the segment occupies no sequence space.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the sequence number after the last one that the segment occupies.
    #[inline]
    pub fn end(&self) -> SeqNum {
        self.seq + self.len()
    }
}

/// A segment to send. The payload lies in at most two slices, since buffers are rings.
#[derive(Clone, Copy, Debug, Default)]
pub struct SegmentOut<'a> {
    /// SEG.SEQ.
    pub seq: SeqNum,
    /// SEG.ACK.
    pub ack: SeqNum,
    /// The control bits.
    pub flags: Flags,
    /// SEG.WND as on the wire, already scaled.
    pub window: u16,
    /// SEG.UP.
    pub urgent: u16,
    /// The ECN codepoint to send the packet with (RFC 3168 §5).
    pub ecn: Codepoint,
    /// The common options.
    pub options: Options,
    /// The rare options.
    pub rare: RareOptions,
    /// The data: first slice, second slice.
    pub payload: (&'a [u8], &'a [u8]),
}

impl SegmentOut<'_> {
    /// Returns the number of data bytes.
    pub const fn payload_len(&self) -> usize {
        self.payload.0.len() + self.payload.1.len()
    }

    /// Returns the reset that answers a segment without a connection (RFC 9293 §3.10.7.1), or
    /// `None` if the segment is itself a reset.
    pub fn reset_for(segment: &Segment<'_>) -> Option<SegmentOut<'static>> {
        if segment.flags.rst() {
            return None;
        }
        // RFC 9293 §3.10.7.1:
        //   > If the ACK bit is off, sequence number zero is used,
        //   >   <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>
        //   > If the ACK bit is on,
        //   >   <SEQ=SEG.ACK><CTL=RST>
        Some(if segment.flags.ack() {
            SegmentOut { seq: segment.ack, flags: Flags::RST, ..SegmentOut::default() }
        } else {
            SegmentOut {
                ack: segment.end(),
                flags: Flags::RST.with(Flags::ACK),
                ..SegmentOut::default()
            }
        })
    }
}
