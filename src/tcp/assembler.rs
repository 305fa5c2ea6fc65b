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

    /// What of `start..end` is here already, as far as it lies in one range.
    pub fn overlap(&self, start: u32, end: u32) -> Option<(u32, u32)> {
        let meets = |range: &Range| range.0 < end && start < range.1;
        let range = self.ranges().find(meets)?;
        Some((range.0.max(start), range.1.min(end)))
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
    fn the_front_is_taken_once_the_hole_is_closed() {
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
    fn an_empty_range_is_nothing() {
        assert!(of(&[(5, 5), (9, 3)]).is_empty());
    }

    #[test]
    fn a_range_too_many_is_refused_but_the_first_hole_can_always_be_closed() {
        let mut assembler = Assembler::default();
        let mut start = 2;
        while assembler.add(start, start + 1).is_ok() {
            start += 2;
        }
        assert_eq!(assembler.ranges().count(), RANGES_MAX - 1);
        assert_eq!(assembler.add(start, start + 1), Err(TooManyHoles));
        // What joins a range needs no place.
        assembler.add(3, 4).unwrap();
        assembler.add(start, start + 1).unwrap();
        assembler.add(0, 1).unwrap();
        assert_eq!(assembler.ranges().count(), RANGES_MAX);
        assert_eq!(assembler.take_front(), 1);
        assert_eq!(assembler.ranges().count(), RANGES_MAX - 1);
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

    /// The runs of set bits, in order.
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
        fn a_set_of_ranges_is_a_row_of_bits(steps in steps()) {
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
                            prop_assert!(start > 0 && assembler.ranges().count() == RANGES_MAX - 1
                                || assembler.ranges().count() == RANGES_MAX);
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
                prop_assert!(sorted.len() <= RANGES_MAX);
                prop_assert_eq!(assembler.is_empty(), sorted.is_empty());
            }
        }
    }
}
