//! Latencies by percentile: parses `.hgrm` files and draws two of them side by side.

use std::fmt::Write as _;
use std::path::Path;

/// Pairs of value and cumulative share, in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Curve(Vec<(f64, f64)>);

/// Percentiles that are drawn.
const ROWS: [(&str, f64); 6] =
    [("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Length of the longest bar, in columns.
const WIDTH: usize = 30;

impl Curve {
    /// Parses the text of a file: rows of value, share and count. Skips all other lines.
    pub(super) fn parse(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.split_whitespace().map(str::parse::<f64>);
            Some((cells.next()?.ok()?, cells.next()?.ok()?))
        });
        Self(rows.collect())
    }

    /// Reads a file; empty if it cannot be read.
    pub(super) fn read(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    /// Returns the smallest value that at least this share of all values do not exceed.
    fn value_at(&self, share: f64) -> Option<f64> {
        let found = self.0.iter().find(|(_, reached)| *reached >= share - 1e-12);
        found.or(self.0.last()).map(|(value, _)| *value)
    }
}

/// Draws two curves with one pair of bars per percentile. Bars are logarithmic, so equal ratios
/// have equal length.
pub(super) fn draw(title: &str, linerate: &Curve, kernel: &Curve) -> String {
    let mut text = format!("  {title}, µs\n");
    let both =
        || ROWS.iter().map(|(_, share)| (linerate.value_at(*share), kernel.value_at(*share)));
    let all = || both().flat_map(|(ours, theirs)| [ours, theirs]).flatten();
    let (low, high) = all().fold((f64::MAX, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    if all().next().is_none() {
        return text + "    no data\n";
    }
    let bar = |value: Option<f64>| {
        let value = value.unwrap_or(low).max(low);
        let span = (high / low.max(0.001)).ln().max(f64::EPSILON);
        let share = (value / low.max(0.001)).ln().max(0.0) / span;
        "▇".repeat(1 + (share * (WIDTH - 1) as f64).round() as usize)
    };
    for ((name, _), (ours, theirs)) in ROWS.iter().zip(both()) {
        for (label, stack, value) in [(*name, "linerate", ours), ("", "kernel", theirs)] {
            let number = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
            let _ = writeln!(text, "    {label:>5}  {stack:<8} {number:>11}  {}", bar(value));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n\
        1.000 0.000000000000 1 1.00\n  2.000 0.500000000000 5 2.00\n  64.000 1.000000000000 10\n\
        #[Mean    =  2.0, StdDeviation   = 0.0]\n";

    #[test]
    fn percentiles_are_parsed_from_the_file() {
        let curve = Curve::parse(FILE);
        let at = |share| curve.value_at(share);
        assert_eq!(
            (at(0.0), at(0.5), at(0.51), at(1.0)),
            (Some(1.0), Some(2.0), Some(64.0), Some(64.0))
        );
        assert_eq!(Curve::default().value_at(0.5), None);
    }

    #[test]
    fn bars_have_logarithmic_length() {
        let curve = Curve::parse(FILE);
        let text = draw("request", &curve, &Curve::default());
        let bars: Vec<usize> = text.lines().map(|line| line.matches('▇').count()).collect();
        assert_eq!(bars.iter().max(), Some(&WIDTH));
        assert!(text.contains("p99.9") && text.contains("64.0"), "{text}");
        assert!(draw("x", &Curve::default(), &Curve::default()).contains("no data"));
    }
}
