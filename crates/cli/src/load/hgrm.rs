//! The percentile text format (`.hgrm`) of HdrHistogram, as its plotters read it.
//!
//! Values are in microseconds with three decimals, so they keep nanosecond precision.

use std::io::{self, Write};

use super::tally::Latencies;

/// Steps per halving of the distance to 100 %, as the plotters expect.
const STEPS_PER_HALVING: u32 = 5;

/// Nanoseconds per unit of the file.
const SCALE: f64 = 1000.0;

/// Writes all percentiles of `latencies`.
///
/// # Errors
/// When the writer fails.
pub(super) fn write(out: &mut dyn Write, latencies: &Latencies) -> io::Result<()> {
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut total = 0;
    for value in latencies.iter_quantiles(STEPS_PER_HALVING) {
        total += value.count_since_last_iteration();
        let quantile = value.quantile_iterated_to();
        write!(
            out,
            "{:12.3} {:1.12} {total:10}",
            latencies.highest_equivalent(value.value_iterated_to()) as f64 / SCALE,
            quantile,
        )?;
        if quantile < 1.0 {
            writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        } else {
            writeln!(out)?;
        }
    }
    writeln!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        latencies.mean() / SCALE,
        latencies.stdev() / SCALE,
    )?;
    let max = latencies.max() as f64 / SCALE;
    writeln!(out, "#[Max     = {max:12.3}, Total count    = {:12}]", latencies.len())?;
    let buckets = latencies.buckets();
    // Three significant digits need 2048 sub-buckets.
    writeln!(out, "#[Buckets = {buckets:12}, SubBuckets     = {:12}]", 2048)
}

#[cfg(test)]
mod tests {
    use super::super::tally::{latencies, record};
    use super::*;
    use linerate::time::Duration;

    #[test]
    fn last_row_counts_all_values() {
        let mut all = latencies();
        (1..=1000).for_each(|micros| record(&mut all, Duration::from_micros(micros)));
        let mut out = Vec::new();
        write(&mut out, &all).expect("writing to a vector cannot fail");
        let text = String::from_utf8(out).expect("valid UTF-8");
        let rows: Vec<Vec<f64>> = text
            .lines()
            .filter(|line| line.starts_with(' ') && !line.contains("Value"))
            .map(|line| line.split_whitespace().filter_map(|cell| cell.parse().ok()).collect())
            .collect();
        assert!(rows.iter().all(|row| row.len() >= 3) && rows.len() > 20);
        assert!(rows.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][2] <= pair[1][2]));
        assert_eq!(rows.last().map(|row| (row[1], row[2])), Some((1.0, 1000.0)));
        let median = rows.iter().find(|row| row[1] >= 0.5).map_or(0.0, |row| row[0]);
        assert!((499.0..=502.0).contains(&median), "{median}");
        assert!(text.contains("#[Mean    =") && text.contains("Total count    =         1000]"));
    }
}
