//! Percentiles of latency histograms.

use hdrhistogram::Histogram;
use linerate::runtime::control::LatencyBuckets;
use serde_json::{Value, json};

/// Returns the counts added after `before`.
pub(super) fn since(now: &LatencyBuckets, before: &LatencyBuckets) -> LatencyBuckets {
    let new = |(nanos, count): (&u64, &u64)| {
        let new = count.saturating_sub(before.get(nanos).copied().unwrap_or(0));
        (new > 0).then_some((*nanos, new))
    };
    now.iter().filter_map(new).collect()
}

/// Returns count, p50, p90, p99, p999, max and mean in nanoseconds, or `null` for an empty
/// histogram. The values are accurate to three per cent, since each is the middle of its bucket.
pub(super) fn percentiles(buckets: &LatencyBuckets) -> Value {
    // Three digits are always valid, and the histogram resizes itself.
    let Ok(mut histogram) = Histogram::<u64>::new(3) else { return Value::Null };
    for (nanos, count) in buckets {
        let _ = histogram.record_n(*nanos, *count);
    }
    if histogram.is_empty() {
        return Value::Null;
    }
    let at = |quantile: f64| histogram.value_at_quantile(quantile);
    json!({
        "count": histogram.len(),
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
        "max": histogram.max(), "mean": histogram.mean(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        let buckets: LatencyBuckets = (1..=1000).map(|n| (n * 1000, 2)).collect();
        assert_eq!(percentiles(&LatencyBuckets::new()), Value::Null);
        let report = percentiles(&buckets);
        assert_eq!(report["count"], 2000);
        let median = report["p50"].as_u64().expect("a number");
        assert!(median.abs_diff(500_000) <= 1000, "{report}");
    }

    #[test]
    fn only_counts_added_since_are_returned() {
        let before = LatencyBuckets::from([(1, 5), (2, 5)]);
        let now = LatencyBuckets::from([(1, 5), (2, 6), (3, 1)]);
        assert_eq!(since(&now, &before), LatencyBuckets::from([(2, 1), (3, 1)]));
    }
}
