//! Latencies by percentile, read back from a `.hgrm` file and drawn side by side.

use std::fmt::Write as _;
use std::path::Path;

/// Values by the share of all that they are not below, ascending.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve(Vec<(f64, f64)>);

/// The rows that are drawn.
const ROWS: [(&str, f64); 6] =
    [("p10", 0.1), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Columns of a bar: the longest.
const WIDTH: usize = 30;

impl Curve {
    /// From the text of the file: rows of value, share, count; all else is skipped.
    pub fn parse(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.split_whitespace().map(str::parse::<f64>);
            Some((cells.next()?.ok()?, cells.next()?.ok()?))
        });
        Self(rows.collect())
    }

    /// From the file; empty when there is none.
    pub fn read(path: &Path) -> Self {
        Self::parse(&std::fs::read_to_string(path).unwrap_or_default())
    }

    /// The smallest value that this share of all are not above.
    fn value_at(&self, share: f64) -> Option<f64> {
        let found = self.0.iter().find(|(_, reached)| *reached >= share - 1e-12);
        found.or(self.0.last()).map(|(value, _)| *value)
    }
}

/// Two curves, a row a percentile; bars are logarithmic, so that a factor is the same length everywhere.
pub fn draw(title: &str, linerate: &Curve, kernel: &Curve) -> String {
    let mut text = format!("  {title}, µs\n");
    let both =
        || ROWS.iter().map(|(_, share)| (linerate.value_at(*share), kernel.value_at(*share)));
    let all = || both().flat_map(|(ours, theirs)| [ours, theirs]).flatten();
    let (low, high) = all().fold((f64::MAX, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    if all().next().is_none() {
        return text + "    nothing was measured\n";
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
    fn percentiles_are_read_back() {
        let curve = Curve::parse(FILE);
        let at = |share| curve.value_at(share);
        assert_eq!(
            (at(0.0), at(0.5), at(0.51), at(1.0)),
            (Some(1.0), Some(2.0), Some(64.0), Some(64.0))
        );
        assert_eq!(Curve::default().value_at(0.5), None);
    }

    #[test]
    fn a_bar_is_as_long_as_the_logarithm() {
        let curve = Curve::parse(FILE);
        let text = draw("request", &curve, &Curve::default());
        let bars: Vec<usize> = text.lines().map(|line| line.matches('▇').count()).collect();
        assert_eq!(bars.iter().max(), Some(&WIDTH));
        assert!(text.contains("p99.9") && text.contains("64.0"), "{text}");
        assert!(draw("x", &Curve::default(), &Curve::default()).contains("nothing"));
    }
}
