//! The options of a header that arrived: RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 5482, RFC 7413, RFC 9768.
//!
//! Small values are read out; SACK blocks and the Fast Open cookie stay where they are in the segment
//! and are found by their place, so that a segment without them pays nothing for them.

use core::fmt;

use super::{AccEcn, FastOpen};

/// Option kinds, from IANA's registry.
pub(super) mod kind {
    pub const END: u8 = 0;
    pub const NOP: u8 = 1;
    pub const MSS: u8 = 2;
    pub const WINDOW_SCALE: u8 = 3;
    pub const SACK_PERMITTED: u8 = 4;
    pub const SACK: u8 = 5;
    pub const TIMESTAMPS: u8 = 8;
    pub const USER_TIMEOUT: u8 = 28;
    pub const FAST_OPEN: u8 = 34;
    pub const ACCECN0: u8 = 172;
    pub const ACCECN1: u8 = 174;
    /// Experiments that share a kind, told apart by 16 bits.
    pub const EXPERIMENT: u8 = 254;
}

/// Two no-operations before the timestamps: the layout of RFC 7323 appendix A, which all stacks send.
pub(super) const ALIGNED_TIMESTAMPS: [u8; 4] = [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10];

/// The kinds and lengths of a usual SYN's options, the values left out.
const USUAL_SYN: [u8; 9] =
    [kind::MSS, 4, kind::SACK_PERMITTED, 2, kind::TIMESTAMPS, 10, kind::NOP, kind::WINDOW_SCALE, 3];

/// Bytes of one SACK block.
const BLOCK_LEN: usize = 8;

/// The timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the receiver's clock, echoed; meaningful only with ACK.
    pub echo: u32,
}

/// Where in the option area an option's content lies, behind its kind and length; never at the start, so
/// that 0 means nowhere.
#[derive(Clone, Copy, Default)]
struct Place(u8);

impl Place {
    const fn is_somewhere(self) -> bool {
        self.0 != 0
    }

    fn of(self, area: &[u8]) -> &[u8] {
        let at = usize::from(self.0);
        let len =
            at.checked_sub(1).and_then(|len| area.get(len)).map_or(0, |len| usize::from(*len));
        area.get(at..(at + len).saturating_sub(2)).unwrap_or(&[])
    }
}

/// The options of one segment. What is absent was not there, was not well formed, or has no meaning in
/// this kind of segment.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    area: &'a [u8],
    /// Timestamps (RFC 7323 §3).
    pub timestamps: Option<Timestamps>,
    /// Maximum segment size (RFC 9293 §3.7.1), bytes; of a SYN only, and never zero.
    pub mss: Option<u16>,
    /// The window scale as offered (RFC 7323 §2), not capped; of a SYN only.
    pub window_shift: Option<u8>,
    /// SACK-permitted (RFC 2018 §2); of a SYN only.
    pub sack_permitted: bool,
    /// An option had a length that cannot be: it and what came after it was not read.
    pub malformed: bool,
    sack: Place,
    user_timeout: Place,
    fast_open: Place,
    accecn: Place,
}

impl<'a> Options<'a> {
    /// The SACK blocks (RFC 2018 §3), in the option's order.
    #[inline]
    pub fn sack(&self) -> SackIter<'a> {
        if !self.sack.is_somewhere() {
            return SackIter { blocks: &[] };
        }
        SackIter { blocks: self.sack.of(self.area).as_chunks().0 }
    }

    /// Whether there are SACK blocks.
    #[inline]
    pub const fn has_sack(&self) -> bool {
        self.sack.is_somewhere()
    }

    /// Whether there is any option that few segments have: SACK blocks, a user timeout, a cookie, counters.
    #[inline]
    pub const fn has_rare(&self) -> bool {
        (self.sack.0 | self.user_timeout.0 | self.fast_open.0 | self.accecn.0) != 0
    }

    /// The user timeout (RFC 5482 §3.3): the granularity in the highest bit, set for minutes, the time in
    /// the others.
    #[inline]
    pub fn user_timeout(&self) -> Option<u16> {
        if !self.user_timeout.is_somewhere() {
            return None;
        }
        self.user_timeout.of(self.area).try_into().ok().map(u16::from_be_bytes)
    }

    /// The Fast Open option of a SYN (RFC 7413 §4.1.1).
    #[inline]
    pub fn fast_open(&self) -> Option<FastOpen<'a>> {
        if !self.fast_open.is_somewhere() {
            return None;
        }
        let kind_at = usize::from(self.fast_open.0).checked_sub(2)?;
        FastOpen::from_body(*self.area.get(kind_at)?, self.fast_open.of(self.area))
    }
}

impl<'a> Options<'a> {
    /// The byte counters of Accurate ECN (RFC 9768 §3.2.3).
    #[inline]
    pub fn accecn(&self) -> Option<AccEcn> {
        if !self.accecn.is_somewhere() {
            return None;
        }
        let kind_at = usize::from(self.accecn.0).checked_sub(2)?;
        Some(AccEcn::from_body(*self.area.get(kind_at)?, self.accecn.of(self.area)))
    }
}

impl PartialEq for Options<'_> {
    /// Equal in what they say, however they are laid out.
    fn eq(&self, other: &Self) -> bool {
        let small = |o: &Self| (o.timestamps, o.mss, o.window_shift, o.sack_permitted, o.malformed);
        small(self) == small(other)
            && self.user_timeout() == other.user_timeout()
            && self.fast_open() == other.fast_open()
            && self.accecn() == other.accecn()
            && self.sack().eq(other.sack())
    }
}

impl Eq for Options<'_> {}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("timestamps", &self.timestamps)
            .field("mss", &self.mss)
            .field("window_shift", &self.window_shift)
            .field("sack_permitted", &self.sack_permitted)
            .field("user_timeout", &self.user_timeout())
            .field("malformed", &self.malformed)
            .field("sack", &self.sack().collect::<SackList>().as_slice())
            .field("fast_open", &self.fast_open())
            .field("accecn", &self.accecn())
            .finish()
    }
}

/// The blocks of a SACK option: left edge, right edge (exclusive).
#[derive(Clone, Debug)]
pub struct SackIter<'a> {
    blocks: &'a [[u8; BLOCK_LEN]],
}

impl Iterator for SackIter<'_> {
    type Item = (u32, u32);

    #[inline]
    fn next(&mut self) -> Option<(u32, u32)> {
        let (&[a, b, c, d, e, f, g, h], rest) = self.blocks.split_first()?;
        self.blocks = rest;
        Some((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.blocks.len(), Some(self.blocks.len()))
    }
}

impl ExactSizeIterator for SackIter<'_> {}

/// Reads the bytes between the fixed header and the data. The two layouts that nearly all segments have
/// are known by one comparison each.
#[inline(always)]
pub(super) fn parse(area: &[u8], syn: bool) -> Options<'_> {
    if let Ok(&[a, b, c, d, v0, v1, v2, v3, e0, e1, e2, e3]) = <&[u8; 12]>::try_from(area)
        && [a, b, c, d] == ALIGNED_TIMESTAMPS
    {
        let value = u32::from_be_bytes([v0, v1, v2, v3]);
        let echo = u32::from_be_bytes([e0, e1, e2, e3]);
        return Options::stamped(Timestamps { value, echo });
    }
    match area {
        [] => Options::default(),
        _ if syn => parse_usual_syn(area).unwrap_or_else(|| parse_each(area, syn)),
        _ => parse_each(area, syn),
    }
}

/// What Linux, and we, put on a SYN: MSS, SACK-permitted, timestamps, window scale.
#[inline]
fn parse_usual_syn(area: &[u8]) -> Option<Options<'_>> {
    let &[a, b, m0, m1, c, d, e, f, v0, v1, v2, v3, e0, e1, e2, e3, g, h, i, shift] =
        <&[u8; 20]>::try_from(area).ok()?;
    let kinds = [a, b, c, d, e, f, g, h, i];
    let mss = u16::from_be_bytes([m0, m1]);
    if kinds != USUAL_SYN || mss == 0 {
        return None;
    }
    let value = u32::from_be_bytes([v0, v1, v2, v3]);
    let echo = u32::from_be_bytes([e0, e1, e2, e3]);
    Some(Options {
        timestamps: Some(Timestamps { value, echo }),
        mss: Some(mss),
        window_shift: Some(shift),
        sack_permitted: true,
        ..Options::default()
    })
}

#[inline(never)]
fn parse_each(area: &[u8], syn: bool) -> Options<'_> {
    let mut options = Options { area, ..Options::default() };
    let mut at = 0;
    // At most forty bytes, and each turn takes one or more of them.
    while let Some(&kind) = area.get(at) {
        match kind {
            kind::END => break,
            kind::NOP => at += 1,
            _ => {
                // RFC 9293 §3.1:
                //   > TCP implementations MUST be prepared to handle an illegal option length
                //   > (e.g., zero); a suggested procedure is to reset the connection and log
                //   > the error cause (MUST-7).
                // A reset would let anyone who can guess a port end the connection. As Linux does, what
                // stands before the illegal option counts, and nothing from there on.
                let len = area.get(at + 1).map_or(0, |len| usize::from(*len));
                let Some(body) = area.get(at..at + len).and_then(|option| option.get(2..)) else {
                    options.malformed = true;
                    break;
                };
                options.read(kind, at + 2, body, syn);
                at += len;
            }
        }
    }
    options
}

impl Options<'_> {
    /// Timestamps and nothing else.
    #[inline(always)]
    pub(super) fn stamped(timestamps: Timestamps) -> Self {
        Self { timestamps: Some(timestamps), ..Self::default() }
    }

    /// One option. Of an option that is there twice the last one counts. A known option of a wrong
    /// length and an unknown one are passed over.
    ///
    /// RFC 9293 §3.1: > A TCP implementation MUST (MUST-6) ignore without error any TCP Option it does
    /// not implement, assuming that the option has a length field.
    fn read(&mut self, kind: u8, at: usize, body: &[u8], syn: bool) {
        let place = Place(at as u8);
        match (kind, body) {
            (kind::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                let value = u32::from_be_bytes([a, b, c, d]);
                self.timestamps =
                    Some(Timestamps { value, echo: u32::from_be_bytes([e, f, g, h]) });
            }
            (kind::SACK, [_, ..]) if body.len().is_multiple_of(BLOCK_LEN) => self.sack = place,
            // RFC 9293 §3.2: > This field may be sent in the initial connection request (i.e., in
            // segments with the SYN control bit set) and MUST NOT be sent in other segments (MUST-65).
            // RFC 7323 §2.2 and RFC 2018 §2 say the same of theirs.
            (kind::MSS, &[high, low]) if syn => {
                self.mss = Some(u16::from_be_bytes([high, low])).filter(|mss| *mss != 0);
            }
            (kind::WINDOW_SCALE, &[shift]) if syn => self.window_shift = Some(shift),
            (kind::SACK_PERMITTED, []) if syn => self.sack_permitted = true,
            // RFC 5482 §3.3: 15 bits of time; §3.4: one of zero is reserved, to be ignored.
            (kind::USER_TIMEOUT, &[high, low]) if high & 0x7f != 0 || low != 0 => {
                self.user_timeout = place;
            }
            // RFC 7413 §4.1.1: > Options with invalid Length values or without the SYN flag set MUST be
            // > ignored.
            (kind::FAST_OPEN | kind::EXPERIMENT, body)
                if syn && FastOpen::from_body(kind, body).is_some() =>
            {
                self.fast_open = place;
            }
            (kind::ACCECN0 | kind::ACCECN1, _) => self.accecn = place,
            _ => {}
        }
    }
}

/// Blocks copied out, for the debug form.
#[derive(Default)]
struct SackList {
    blocks: [(u32, u32); 4],
    len: usize,
}

impl SackList {
    fn as_slice(&self) -> &[(u32, u32)] {
        &self.blocks[..self.len]
    }
}

impl FromIterator<(u32, u32)> for SackList {
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(blocks: I) -> Self {
        let mut list = Self::default();
        for (slot, block) in list.blocks.iter_mut().zip(blocks) {
            *slot = block;
            list.len += 1;
        }
        list
    }
}
