//! Options of received headers: RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 5482, RFC 7413, RFC 9768.
//!
//! Small values are copied out. SACK blocks, the Fast Open cookie and other rare options stay in
//! the segment and are located by offset, so that segments without them pay nothing.

use core::fmt;

use super::{AccEcn, FastOpen, kind};

/// Two no-operations before the timestamps: the layout of RFC 7323 appendix A, which all stacks
/// send.
pub(super) const ALIGNED_TIMESTAMPS: [u8; 4] = [kind::NOP, kind::NOP, kind::TIMESTAMPS, 10];

/// Kinds and lengths of the options of a usual SYN, without the values.
const USUAL_SYN: [u8; 9] =
    [kind::MSS, 4, kind::SACK_PERMITTED, 2, kind::TIMESTAMPS, 10, kind::NOP, kind::WINDOW_SCALE, 3];

/// Length of one SACK block in bytes.
const BLOCK_LEN: usize = 8;

/// The timestamps option (RFC 7323 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the receiver's clock, echoed; meaningful only with ACK.
    pub echo: u32,
}

/// Offset of an option's body, behind its kind and length, in the option area. A body never starts
/// at offset 0, so 0 means absent.
#[derive(Clone, Copy, Default)]
struct BodyOffset(u8);

impl BodyOffset {
    const fn is_present(self) -> bool {
        self.0 != 0
    }

    fn body_in(self, area: &[u8]) -> &[u8] {
        let at = usize::from(self.0);
        let len =
            at.checked_sub(1).and_then(|len| area.get(len)).map_or(0, |len| usize::from(*len));
        area.get(at..(at + len).saturating_sub(2)).unwrap_or(&[])
    }
}

/// Options of one segment. An option is absent if the segment did not carry it, carried it
/// malformed, or is of a kind on which it has no meaning.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    area: &'a [u8],
    /// Timestamps (RFC 7323 §3).
    pub timestamps: Option<Timestamps>,
    /// Maximum segment size in bytes (RFC 9293 §3.7.1); on a SYN only, and never zero.
    pub mss: Option<u16>,
    /// Window scale as offered (RFC 7323 §2), not capped; on a SYN only.
    pub window_shift: Option<u8>,
    /// SACK-permitted (RFC 2018 §2); on a SYN only.
    pub sack_permitted: bool,
    /// An option had an invalid length. It and the options behind it were not parsed.
    pub malformed: bool,
    sack: BodyOffset,
    user_timeout: BodyOffset,
    fast_open: BodyOffset,
    accecn: BodyOffset,
}

impl<'a> Options<'a> {
    /// Returns the SACK blocks (RFC 2018 §3) in the order of the option.
    #[inline]
    pub fn sack(&self) -> SackIter<'a> {
        if !self.sack.is_present() {
            return SackIter { blocks: &[] };
        }
        SackIter { blocks: self.sack.body_in(self.area).as_chunks().0 }
    }

    /// Returns true if the segment carries SACK blocks.
    #[inline]
    pub const fn has_sack(&self) -> bool {
        self.sack.is_present()
    }

    /// Returns true if the segment carries a rare option: SACK blocks, a user timeout, a Fast Open
    /// cookie or AccECN counters.
    #[inline]
    pub const fn has_rare(&self) -> bool {
        (self.sack.0 | self.user_timeout.0 | self.fast_open.0 | self.accecn.0) != 0
    }

    /// Returns the user timeout (RFC 5482 §3.3): the highest bit is the granularity, set for
    /// minutes; the others are the time.
    #[inline]
    pub fn user_timeout(&self) -> Option<u16> {
        if !self.user_timeout.is_present() {
            return None;
        }
        self.user_timeout.body_in(self.area).try_into().ok().map(u16::from_be_bytes)
    }

    /// Returns the Fast Open option of a SYN (RFC 7413 §4.1.1).
    #[inline]
    pub fn fast_open(&self) -> Option<FastOpen<'a>> {
        if !self.fast_open.is_present() {
            return None;
        }
        let kind_at = usize::from(self.fast_open.0).checked_sub(2)?;
        FastOpen::from_body(*self.area.get(kind_at)?, self.fast_open.body_in(self.area))
    }
}

impl<'a> Options<'a> {
    /// Returns the byte counters of Accurate ECN (RFC 9768 §3.2.3).
    #[inline]
    pub fn accecn(&self) -> Option<AccEcn> {
        if !self.accecn.is_present() {
            return None;
        }
        let kind_at = usize::from(self.accecn.0).checked_sub(2)?;
        Some(AccEcn::from_body(*self.area.get(kind_at)?, self.accecn.body_in(self.area)))
    }
}

impl PartialEq for Options<'_> {
    /// Compares the values, not the layout.
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

/// Iterator over the blocks of a SACK option: left edge, right edge (exclusive).
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

/// Parses the bytes between the fixed header and the data. One comparison each recognizes the two
/// layouts of nearly all segments.
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

/// Parses the options that Linux and this stack send on a SYN: MSS, SACK-permitted, timestamps,
/// window scale.
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
    // The area has at most forty bytes, and each iteration consumes at least one.
    while let Some(&kind) = area.get(at) {
        match kind {
            kind::END => break,
            kind::NOP => at += 1,
            _ => {
                // RFC 9293 §3.1:
                //   > TCP implementations MUST be prepared to handle an illegal option length
                //   > (e.g., zero); a suggested procedure is to reset the connection and log
                //   > the error cause (MUST-7).
                // A reset would let anyone who can guess a port end the connection. Like Linux,
                // keep the options before the illegal one and ignore it and the rest.
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
    /// Creates options with timestamps only.
    #[inline(always)]
    pub(super) fn stamped(timestamps: Timestamps) -> Self {
        Self { timestamps: Some(timestamps), ..Self::default() }
    }

    /// Reads one option. If an option occurs twice, the last one counts. Skips unknown options and
    /// known ones of a wrong length.
    ///
    /// RFC 9293 §3.1: > A TCP implementation MUST (MUST-6) ignore without error any TCP Option it
    /// does not implement, assuming that the option has a length field.
    fn read(&mut self, kind: u8, at: usize, body: &[u8], syn: bool) {
        let offset = BodyOffset(at as u8);
        match (kind, body) {
            (kind::TIMESTAMPS, &[a, b, c, d, e, f, g, h]) => {
                let value = u32::from_be_bytes([a, b, c, d]);
                self.timestamps =
                    Some(Timestamps { value, echo: u32::from_be_bytes([e, f, g, h]) });
            }
            (kind::SACK, [_, ..]) if body.len().is_multiple_of(BLOCK_LEN) => self.sack = offset,
            // RFC 9293 §3.2: > This field may be sent in the initial connection request (i.e., in
            // segments with the SYN control bit set) and MUST NOT be sent in other segments
            // (MUST-65).
            //
            // RFC 7323 §2.2 and RFC 2018 §2 require the same of their options.
            (kind::MSS, &[high, low]) if syn => {
                self.mss = Some(u16::from_be_bytes([high, low])).filter(|mss| *mss != 0);
            }
            (kind::WINDOW_SCALE, &[shift]) if syn => self.window_shift = Some(shift),
            (kind::SACK_PERMITTED, []) if syn => self.sack_permitted = true,
            // RFC 5482 §3.3: 15 bits of time. §3.4: a time of zero is reserved and ignored.
            (kind::USER_TIMEOUT, &[high, low]) if high & 0x7f != 0 || low != 0 => {
                self.user_timeout = offset;
            }
            // RFC 7413 §4.1.1: > Options with invalid Length values or without the SYN flag set
            // MUST be ignored.
            (kind::FAST_OPEN | kind::EXPERIMENT, body)
                if syn && FastOpen::from_body(kind, body).is_some() =>
            {
                self.fast_open = offset;
            }
            (kind::ACCECN0 | kind::ACCECN1, _) => self.accecn = offset,
            _ => {}
        }
    }
}

/// Copied blocks, for `Debug`.
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
