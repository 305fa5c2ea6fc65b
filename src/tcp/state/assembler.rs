//! The set of byte ranges past RCV.NXT that arrived out of order.
//!
//! Owns a bounded set of ranges, as offsets from RCV.NXT. The bytes themselves are in the receive
//! ring. An empty set is one null pointer: memory is allocated when a hole opens and freed when the
//! last one closes, the only allocation of the receive path, so a million connections without
//! reordering pay 8 bytes each. A lossy window of a long fat path has thousands of holes, so
//! lookups use binary search, and an advance of RCV.NXT does not touch the ranges. Invariants:
//! ranges are not empty, do not touch each other, and are in order.

use std::collections::VecDeque;

/// Number of ranges that any connection may keep.
const RANGES_FREE: usize = 16;

/// Each further range requires this many bytes held out of order. The memory that a peer can make
/// us spend on ranges is then a thirty-second of the memory for the bytes, which is bounded. A
/// larger value would forget the windows of peers with small segments; with a smaller one, a peer
/// that sends every other byte would cost more in ranges than in bytes.
const BYTES_PER_RANGE: u32 = 256;

/// Maximum number of ranges. More makes an insertion in the middle slow; fewer makes the sender
/// retransmit data that arrived, at 10 Gbit/s over 100 ms with 5 % loss.
const RANGES_MAX: usize = 4096;

/// Number of most recent ranges tracked: as many as one SACK option reports.
const RECENT_MAX: usize = 4;

/// A range of offsets, end exclusive.
type Range = (u32, u32);

#[derive(Clone, Debug, Default)]
struct Ranges {
    /// In order. Each offset is stored with `origin` added, modulo 2^32.
    list: VecDeque<Range>,
    /// The stored value of offset 0.
    origin: u32,
    /// Total bytes in all ranges.
    held: u32,
    /// Start of the most recently added bytes, newest first, each in a different range when it was
    /// added.
    recent: [u32; RECENT_MAX],
    recent_len: usize,
}

/// A bounded set of ranges past RCV.NXT.
#[derive(Clone, Debug, Default)]
pub struct Assembler(Option<Box<Ranges>>);

/// The range cannot be stored: treat its bytes as never received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyHoles;

impl Assembler {
    /// Adds the bytes `start..end`. A range at 0 is always accepted, so that the peer can close the
    /// first hole no matter how many holes exist.
    pub fn add(&mut self, start: u32, end: u32) -> Result<(), TooManyHoles> {
        if start >= end {
            return Ok(());
        }
        let ranges = self.0.get_or_insert_with(Box::default);
        ranges.add(start, end)
    }

    /// Removes the range at 0 and returns its length (0 if the first byte is still missing).
    /// RCV.NXT advances by that length, so all other ranges shift by it.
    pub fn take_front(&mut self) -> u32 {
        let Some((0, end)) = self.0.as_deref().and_then(Ranges::first) else { return 0 };
        self.shift(end);
        end
    }

    /// Shifts all offsets after RCV.NXT advanced by `n`. Drops what lies below.
    pub fn shift(&mut self, n: u32) {
        if let Some(ranges) = self.0.as_deref_mut() {
            ranges.shift(n);
            if ranges.list.is_empty() {
                self.0 = None;
            }
        }
    }

    /// Returns true if no range is held.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the ranges in the order in which RFC 2018 §4 wants them reported: the tracked recent
    /// ones, newest first, then the others in sequence order.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.0.iter().flat_map(|ranges| {
            let recent: [Option<usize>; RECENT_MAX] = ranges.recent();
            let others = (0..ranges.list.len()).filter(move |n| !recent.contains(&Some(*n)));
            recent.into_iter().flatten().chain(others).map(|n| ranges.at(n))
        })
    }

    /// Returns the range that contains the most recently added bytes.
    pub fn most_recent(&self) -> Option<(u32, u32)> {
        self.ranges().next()
    }

    /// Returns the part of `start..end` that is already held, within the first range that overlaps
    /// it.
    pub fn overlap(&self, start: u32, end: u32) -> Option<(u32, u32)> {
        let ranges = self.0.as_deref()?;
        let first = ranges.first_ending_after(start);
        let range = (first < ranges.list.len()).then(|| ranges.at(first))?;
        (range.0 < end).then(|| (range.0.max(start), range.1.min(end)))
    }

    /// Returns the number of bytes held out of order.
    pub fn bytes(&self) -> u32 {
        self.0.as_deref().map_or(0, |ranges| ranges.held)
    }
}

impl Ranges {
    /// Returns the range at index `n`, as offsets.
    pub(in crate::tcp) fn at(&self, n: usize) -> Range {
        let (start, end) = self.list[n];
        (start.wrapping_sub(self.origin), end.wrapping_sub(self.origin))
    }

    pub(in crate::tcp) fn first(&self) -> Option<Range> {
        (!self.list.is_empty()).then(|| self.at(0))
    }

    /// Returns the index of the first range that ends after `offset`.
    fn first_ending_after(&self, offset: u32) -> usize {
        self.list.partition_point(|range| range.1.wrapping_sub(self.origin) <= offset)
    }

    /// Returns the indexes of the recent ranges, each once.
    fn recent(&self) -> [Option<usize>; RECENT_MAX] {
        let mut places = [None; RECENT_MAX];
        let mut known = 0;
        for &start in &self.recent[..self.recent_len] {
            let offset = start.wrapping_sub(self.origin);
            let place = self.first_ending_after(offset);
            let holds = place < self.list.len() && self.at(place).0 <= offset;
            if holds && !places.contains(&Some(place)) {
                places[known] = Some(place);
                known += 1;
            }
        }
        places
    }

    fn may_have(&self, ranges: usize) -> bool {
        let paid = (self.held / BYTES_PER_RANGE) as usize;
        ranges <= (RANGES_FREE + paid).min(RANGES_MAX)
    }

    pub(in crate::tcp) fn add(&mut self, start: u32, end: u32) -> Result<(), TooManyHoles> {
        // The ranges from `first` to `last` touch the new one.
        let first = self.list.partition_point(|range| range.1.wrapping_sub(self.origin) < start);
        let last = self.list.partition_point(|range| range.0.wrapping_sub(self.origin) <= end);
        // The last slot is reserved for the range at 0.
        let spare = usize::from(start > 0);
        if first == last && !self.may_have(self.list.len() + 1 + spare) {
            return Err(TooManyHoles);
        }
        let mut merged = (start, end);
        for place in first..last {
            let range = self.at(place);
            self.held -= range.1 - range.0;
            merged = (merged.0.min(range.0), merged.1.max(range.1));
        }
        self.held += merged.1 - merged.0;
        let kept = (self.origin.wrapping_add(merged.0), self.origin.wrapping_add(merged.1));
        if first == last {
            self.list.insert(first, kept);
        } else {
            self.list[first] = kept;
            self.list.drain(first + 1..last);
        }
        self.record_recent(start, merged);
        Ok(())
    }

    /// Records the bytes at `start` as the newest of the range `merged`.
    fn record_recent(&mut self, start: u32, merged: Range) {
        let mut recent = [self.origin.wrapping_add(start); RECENT_MAX];
        let mut len = 1;
        for &start in &self.recent[..self.recent_len] {
            let offset = start.wrapping_sub(self.origin);
            if !(merged.0..merged.1).contains(&offset) && len < RECENT_MAX {
                recent[len] = start;
                len += 1;
            }
        }
        (self.recent, self.recent_len) = (recent, len);
    }

    pub(in crate::tcp) fn shift(&mut self, n: u32) {
        while let Some((start, end)) = self.first().filter(|range| range.0 < n) {
            self.list.pop_front();
            self.held -= end.min(n) - start;
            if end > n {
                self.list.push_front((self.origin.wrapping_add(n), self.origin.wrapping_add(end)));
                break;
            }
        }
        // Clamp starts below to the new origin.
        for start in &mut self.recent[..self.recent_len] {
            let offset = start.wrapping_sub(self.origin);
            *start = self.origin.wrapping_add(offset.max(n));
        }
        self.origin = self.origin.wrapping_add(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(ranges: &[Range]) -> Assembler {
        let mut assembler = Assembler::default();
        for &(start, end) in ranges {
            assembler.add(start, end).unwrap();
        }
        assembler
    }

    fn list(assembler: &Assembler) -> Vec<Range> {
        assembler.ranges().collect()
    }

    #[test]
    fn an_empty_set_costs_8_bytes() {
        assert_eq!(size_of::<Assembler>(), 8);
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        assert_eq!(list(&of(&[(10, 20), (20, 30)])), [(10, 30)]);
        assert_eq!(list(&of(&[(10, 20), (5, 10)])), [(5, 20)]);
        assert_eq!(list(&of(&[(10, 20), (15, 17)])), [(10, 20)]);
        assert_eq!(list(&of(&[(10, 20), (30, 40), (15, 35)])), [(10, 40)]);
    }

    #[test]
    fn the_most_recent_range_comes_first() {
        let assembler = of(&[(10, 20), (30, 40), (50, 60), (20, 22)]);
        assert_eq!(list(&assembler), [(10, 22), (50, 60), (30, 40)]);
        assert_eq!(assembler.most_recent(), Some((10, 22)));
        assert_eq!(assembler.bytes(), 32);
    }

    #[test]
    fn the_front_range_is_removed_once_the_hole_closes() {
        let mut assembler = of(&[(10, 20), (30, 40)]);
        assert_eq!(assembler.take_front(), 0);
        assembler.add(0, 10).unwrap();
        assert_eq!(assembler.take_front(), 20);
        assert_eq!(list(&assembler), [(10, 20)]);
        assembler.add(0, 12).unwrap();
        assert_eq!(assembler.take_front(), 20);
        assert!(assembler.is_empty());
    }

    #[test]
    fn an_empty_range_is_ignored() {
        assert!(of(&[(5, 5), (9, 3)]).is_empty());
    }

    #[test]
    fn ranges_past_the_limit_are_refused_but_the_first_hole_can_always_close() {
        let mut assembler = Assembler::default();
        let mut start = 2;
        while assembler.add(start, start + 1).is_ok() {
            start += 2;
        }
        assert_eq!(assembler.ranges().count(), RANGES_FREE - 1);
        assert_eq!(assembler.add(start, start + 1), Err(TooManyHoles));
        // A range that extends another needs no slot.
        assembler.add(3, 4).unwrap();
        assembler.add(start, start + 1).unwrap();
        assembler.add(0, 1).unwrap();
        assert_eq!(assembler.ranges().count(), RANGES_FREE);
        assert_eq!(assembler.take_front(), 1);
        assert_eq!(assembler.ranges().count(), RANGES_FREE - 1);
    }

    #[test]
    fn a_long_window_with_every_other_segment_lost_is_tracked() {
        // RFC 2018 §4: "as many distinct SACK blocks as possible" requires the ranges to be kept.
        let mut assembler = Assembler::default();
        for n in 0..1000 {
            assembler.add(1448 + n * 2896, 2896 + n * 2896).unwrap();
        }
        assert_eq!((assembler.ranges().count(), assembler.bytes()), (1000, 1_448_000));
        let newest = [999, 998, 997, 996].map(|n| (1448 + n * 2896, 2896 + n * 2896));
        assert!(assembler.ranges().take(4).eq(newest));
        for n in 0..1000 {
            assembler.add(0, 1448).unwrap();
            assert_eq!(assembler.take_front(), 2896, "{n}");
        }
        assert!(assembler.is_empty());
    }

    #[test]
    fn ranges_past_the_first_16_require_bytes_held() {
        let mut assembler = Assembler::default();
        let mut refused = 0;
        for n in 0..100_000u32 {
            refused += u32::from(assembler.add(2 + n * 200, 102 + n * 200).is_err());
        }
        let kept = assembler.ranges().count();
        assert!(kept <= RANGES_FREE + (assembler.bytes() / BYTES_PER_RANGE) as usize);
        assert_eq!(kept as u32 + refused, 100_000);
        let mut assembler = Assembler::default();
        for n in 0..10_000u32 {
            let _ = assembler.add(2 + n * 2000, 1502 + n * 2000);
        }
        assert_eq!(assembler.ranges().count(), RANGES_MAX - 1);
    }

    #[test]
    fn a_removed_range_is_no_longer_recent() {
        let mut assembler = of(&[(50, 60), (30, 40), (10, 20)]);
        assembler.add(0, 10).unwrap();
        assert_eq!(assembler.take_front(), 20);
        assert_eq!(list(&assembler), [(10, 20), (30, 40)]);
        assembler.shift(15);
        assert_eq!(list(&assembler), [(0, 5), (15, 25)]);
        assert_eq!(assembler.bytes(), 15);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u32, u32),
        Take,
        Shift(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let add = || (0u32..100, 0u32..12).prop_map(|(start, len)| Step::Add(start, start + len));
        let step =
            prop_oneof![add(), add(), add(), Just(Step::Take), (0u32..6).prop_map(Step::Shift)];
        proptest::collection::vec(step, 0..200)
    }

    /// Returns the runs of set bits, in order.
    fn runs(bits: &[bool]) -> Vec<Range> {
        let mut runs: Vec<Range> = Vec::new();
        for (index, _) in bits.iter().enumerate().filter(|(_, set)| **set) {
            let index = index as u32;
            match runs.last_mut() {
                Some(run) if run.1 == index => run.1 += 1,
                _ => runs.push((index, index + 1)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn the_set_of_ranges_matches_a_bitmap(steps in steps()) {
            let mut assembler = Assembler::default();
            let mut bits = vec![false; 128];
            let shift = |bits: &mut Vec<bool>, n: u32| {
                bits.drain(..n as usize);
                bits.resize(128, false);
            };
            for step in steps {
                match step {
                    Step::Add(start, end) => {
                        let before = list(&assembler);
                        if assembler.add(start, end).is_ok() {
                            bits[start as usize..end as usize].fill(true);
                            let recent = assembler.most_recent();
                            let holds = recent.is_some_and(|r| r.0 <= start && end <= r.1);
                            prop_assert!(start == end || holds);
                        } else {
                            prop_assert_eq!(list(&assembler), before);
                            prop_assert!(start > 0 && assembler.ranges().count() == RANGES_FREE - 1
                                || assembler.ranges().count() == RANGES_FREE);
                        }
                    }
                    Step::Take => {
                        let front = bits.iter().take_while(|set| **set).count() as u32;
                        prop_assert_eq!(assembler.take_front(), front);
                        shift(&mut bits, front);
                    }
                    Step::Shift(n) => {
                        assembler.shift(n);
                        shift(&mut bits, n);
                    }
                }
                let mut sorted = list(&assembler);
                sorted.sort_unstable();
                prop_assert_eq!(&sorted, &runs(&bits));
                prop_assert!(sorted.len() <= RANGES_FREE);
                prop_assert_eq!(assembler.is_empty(), sorted.is_empty());
            }
        }
    }
}
