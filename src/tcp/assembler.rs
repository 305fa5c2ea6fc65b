//! Which bytes past RCV.NXT have arrived out of order.
//!
//! Owns a bounded set of ranges, as offsets from RCV.NXT; the bytes themselves lie in the receive ring.
//! Empty it is one null pointer: the ranges are allocated when a hole opens and freed when the last one
//! closes, the only allocation of the receive path, so that a million connections in order pay 8 bytes.
//! Invariants: ranges are not empty, do not touch each other, and are kept most recent first.

/// The ranges kept at most. More, and a peer that sends every other byte costs us memory and time; less,
/// and a window with several losses in one round trip is sent again though it arrived.
const RANGES_MAX: usize = 16;

/// A range of offsets, end exclusive.
type Range = (u32, u32);

#[derive(Clone, Debug, Default)]
struct Ranges {
    list: [Range; RANGES_MAX],
    len: usize,
}

/// A bounded set of ranges past RCV.NXT.
#[derive(Clone, Debug, Default)]
pub struct Assembler(Option<Box<Ranges>>);

/// The range can't be remembered: its bytes must be treated as never received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyHoles;

impl Assembler {
    /// Notes that the bytes of `start..end` are here. A range at 0 is always accepted, so that the peer
    /// can close the first hole however many there are.
    pub fn add(&mut self, start: u32, end: u32) -> Result<(), TooManyHoles> {
        if start >= end {
            return Ok(());
        }
        let ranges = self.0.get_or_insert_with(Box::default);
        ranges.add(start, end)
    }

    /// Removes the range at 0 and returns its length (0 if the first byte is still missing): RCV.NXT
    /// advances by that, so all others are shifted by it.
    pub fn take_front(&mut self) -> u32 {
        let Some(ranges) = self.0.as_deref() else { return 0 };
        let Some(&(_, end)) = ranges.as_slice().iter().find(|range| range.0 == 0) else { return 0 };
        self.shift(end);
        end
    }

    /// RCV.NXT advanced by `n` without us: offsets shrink by that, what lies below is forgotten.
    pub fn shift(&mut self, n: u32) {
        if let Some(ranges) = self.0.as_deref_mut() {
            ranges.shift(n);
            if ranges.len == 0 {
                self.0 = None;
            }
        }
    }

    /// Whether nothing waits.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The ranges, the most recently touched first: the order in which RFC 2018 §4 wants them reported.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.0.as_deref().map_or(&[][..], Ranges::as_slice).iter().copied()
    }

    /// The range that holds the bytes noted last.
    pub fn most_recent(&self) -> Option<(u32, u32)> {
        self.ranges().next()
    }

    /// Bytes held out of order.
    pub fn bytes(&self) -> u32 {
        self.ranges().map(|(start, end)| end - start).sum()
    }
}

impl Ranges {
    fn as_slice(&self) -> &[Range] {
        &self.list[..self.len]
    }

    fn add(&mut self, start: u32, end: u32) -> Result<(), TooManyHoles> {
        let touches = |range: &Range| range.0 <= end && start <= range.1;
        let merges = self.as_slice().iter().any(touches);
        // The last place is for the range at 0.
        let places = if start == 0 { RANGES_MAX } else { RANGES_MAX - 1 };
        if !merges && self.len >= places {
            return Err(TooManyHoles);
        }
        let mut merged = (start, end);
        self.retain_map(|range| {
            if touches(&range) {
                merged = (merged.0.min(range.0), merged.1.max(range.1));
                return None;
            }
            Some(range)
        });
        self.list.copy_within(..self.len, 1);
        self.list[0] = merged;
        self.len += 1;
        Ok(())
    }

    fn shift(&mut self, n: u32) {
        self.retain_map(|(start, end)| (end > n).then(|| (start.saturating_sub(n), end - n)));
    }

    /// Replaces each range by what `f` makes of it, in order.
    fn retain_map(&mut self, mut f: impl FnMut(Range) -> Option<Range>) {
        let mut kept = 0;
        for index in 0..self.len {
            if let Some(range) = f(self.list[index]) {
                self.list[kept] = range;
                kept += 1;
            }
        }
        self.len = kept;
    }
}
