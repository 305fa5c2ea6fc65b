//! How long something took, counted in buckets: exact below 16 ns, within a sixteenth above.
//!
//! Owns an array of plain counters; recording is an index and an addition. Percentiles are for the reader to
//! compute, who is on another thread and has time.

/// Buckets an octave.
const PARTS: usize = 16;
/// Octaves above the first sixteen nanoseconds; the last reaches beyond an hour.
const OCTAVES: usize = 39;
/// Buckets of a [`Latencies`].
pub const LATENCY_BUCKETS: usize = PARTS * (OCTAVES + 1);

/// Counts by duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    counts: Box<[u64; LATENCY_BUCKETS]>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: Box::new([0; LATENCY_BUCKETS]) }
    }
}

impl Latencies {
    /// Counts something that took `nanos`.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
    }

    /// Sets a bucket: for copies that are read elsewhere.
    pub fn set(&mut self, bucket: usize, count: u64) {
        self.counts[bucket] = count;
    }

    /// What each bucket holds.
    pub const fn counts(&self) -> &[u64; LATENCY_BUCKETS] {
        &self.counts
    }

    /// The buckets that hold something: the middle of each, nanoseconds, and how many.
    pub fn entries(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let counts = self.counts.iter().enumerate();
        counts.filter(|(_, count)| **count > 0).map(|(bucket, count)| (middle(bucket), *count))
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
    }

    /// What was counted since `before` was copied.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut rest = self.clone();
        for (mine, theirs) in rest.counts.iter_mut().zip(before.counts.iter()) {
            *mine = mine.saturating_sub(*theirs);
        }
        rest
    }
}

#[inline]
const fn bucket(nanos: u64) -> usize {
    if nanos < PARTS as u64 {
        return nanos as usize;
    }
    let octave = nanos.ilog2() as usize - PARTS.ilog2() as usize;
    let part = (nanos >> octave) as usize - PARTS;
    let bucket = (octave + 1) * PARTS + part;
    if bucket < LATENCY_BUCKETS { bucket } else { LATENCY_BUCKETS - 1 }
}

/// The middle of a bucket, nanoseconds.
const fn middle(bucket: usize) -> u64 {
    if bucket < PARTS {
        return bucket as u64;
    }
    let octave = bucket / PARTS - 1;
    let low = ((bucket % PARTS + PARTS) as u64) << octave;
    low + (1 << octave) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_tells_its_durations_within_a_thirty_second() {
        for shift in 0..42 {
            for nanos in [1_u64 << shift, (1 << shift) + 1, (3 << shift) / 2, (2 << shift) - 1] {
                let told = middle(bucket(nanos));
                assert!(told.abs_diff(nanos) * 32 <= nanos, "{nanos} is told as {told}");
            }
        }
    }

    #[test]
    fn buckets_are_in_order_and_the_last_takes_what_is_longer() {
        let mut before = 0;
        for nanos in 0..100_000 {
            let now = bucket(nanos);
            assert!(now == before || now == before + 1);
            before = now;
        }
        assert_eq!(bucket(u64::MAX), LATENCY_BUCKETS - 1);
        assert!(middle(LATENCY_BUCKETS - 1) > 3_600_000_000_000);
    }

    #[test]
    fn counts_are_added_and_taken_off() {
        let mut all = Latencies::default();
        all.record(3);
        let before = all.clone();
        all.record(1000);
        all.record(1000);
        assert_eq!(all.since(&before).entries().map(|(_, n)| n).collect::<Vec<_>>(), [2]);
        let mut sum = before.clone();
        sum.merge(&all.since(&before));
        assert_eq!(sum, all);
    }
}
