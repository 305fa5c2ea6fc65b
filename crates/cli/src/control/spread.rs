//! Percentiles of published latencies.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::snapshot::Spread;

/// What was counted after `before`.
pub fn since(now: &Spread, before: &Spread) -> Spread {
    let new = |(nanos, count): (&u64, &u64)| {
        let new = count.saturating_sub(before.get(nanos).copied().unwrap_or(0));
        (new > 0).then_some((*nanos, new))
    };
    now.iter().filter_map(new).collect()
}

/// `null` when there is nothing, else count, p50, p90, p99, p999, max and mean, in nanoseconds: within
/// three per cent, since they are middles of buckets.
pub fn percentiles(spread: &Spread) -> Value {
    // Three digits always make a histogram, and it grows to what comes.
    let Ok(mut histogram) = Histogram::<u64>::new(3) else { return Value::Null };
    for (nanos, count) in spread {
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
    fn nothing_has_no_percentiles_and_something_has() {
        let spread: Spread = (1..=1000).map(|n| (n * 1000, 2)).collect();
        assert_eq!(percentiles(&Spread::new()), Value::Null);
        let told = percentiles(&spread);
        assert_eq!(told["count"], 2000);
        let median = told["p50"].as_u64().expect("a number");
        assert!(median.abs_diff(500_000) <= 1000, "{told}");
    }

    #[test]
    fn only_what_is_new_is_told() {
        let before = Spread::from([(1, 5), (2, 5)]);
        let now = Spread::from([(1, 5), (2, 6), (3, 1)]);
        assert_eq!(since(&now, &before), Spread::from([(2, 1), (3, 1)]));
    }
}
