//! A histogram of durations: exact below 16 ns, buckets of a sixteenth of their value above.
//!
//! Owns an array of plain counters; recording is an index and an addition. Percentiles are computed
//! by the reader, on another thread.

/// Buckets per octave.
const PARTS: usize = 16;
/// Octaves above the first sixteen nanoseconds. The last one reaches beyond an hour.
const OCTAVES: usize = 39;
/// Number of buckets of a [`Latencies`].
pub const LATENCY_BUCKETS: usize = PARTS * (OCTAVES + 1);

/// A histogram of durations.
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
    /// Counts an operation that took `nanos` nanoseconds.
    #[inline]
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
    }

    /// Sets the count of a bucket, for copies that other threads read.
    pub fn set(&mut self, bucket: usize, count: u64) {
        self.counts[bucket] = count;
    }

    /// Returns the count of every bucket.
    pub const fn counts(&self) -> &[u64; LATENCY_BUCKETS] {
        &self.counts
    }

    /// Returns the non-empty buckets as (midpoint in nanoseconds, count).
    pub fn entries(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let counts = self.counts.iter().enumerate();
        counts.filter(|(_, count)| **count > 0).map(|(bucket, count)| (middle(bucket), *count))
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts.iter()) {
            *mine += theirs;
        }
    }

    /// Returns the counts added since `before` was copied.
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

/// Returns the midpoint of a bucket in nanoseconds.
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
    fn a_bucket_midpoint_is_within_one_thirty_second() {
        for shift in 0..42 {
            for nanos in [1_u64 << shift, (1 << shift) + 1, (3 << shift) / 2, (2 << shift) - 1] {
                let reported = middle(bucket(nanos));
                assert!(reported.abs_diff(nanos) * 32 <= nanos, "{nanos} becomes {reported}");
            }
        }
    }

    #[test]
    fn buckets_are_in_order_and_the_last_holds_all_longer_durations() {
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
    fn counts_are_added_and_subtracted() {
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
