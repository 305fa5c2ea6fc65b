//! Medians, spreads and ratios of a few runs.

use serde::Serialize;

/// Minimum, median and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    /// Minimum.
    pub min: f64,
    /// Median; for an even number of values, the lower of the two in the middle.
    pub median: f64,
    /// Maximum.
    pub max: f64,
}

impl Spread {
    /// Computes the spread of the values; `None` without values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let order = order(&values);
        let (first, last) = (*order.first()?, *order.last()?);
        let median = values[order[(order.len() - 1) / 2]];
        Some(Self { min: values[first], median, max: values[last] })
    }
}

/// Returns the index of the median value. The median is always one of the values, so that the run
/// it belongs to can be shown.
pub(super) fn median_index(values: &[f64]) -> Option<usize> {
    order(values).get(values.len().saturating_sub(1) / 2).copied()
}

fn order(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    order
}

/// Divides two series pair by pair; omits pairs whose divisor is zero.
pub(super) fn ratios(dividends: &[f64], divisors: &[f64]) -> Vec<f64> {
    let pairs = dividends.iter().zip(divisors);
    pairs
        .filter(|(_, divisor)| **divisor > 0.0)
        .map(|(dividend, divisor)| dividend / divisor)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_one_of_the_values() {
        let values = [5.0, 1.0, 4.0, 2.0];
        assert_eq!(Spread::of(values), Some(Spread { min: 1.0, median: 2.0, max: 5.0 }));
        assert_eq!(median_index(&values), Some(3));
        assert_eq!((Spread::of([]), median_index(&[])), (None, None));
    }

    #[test]
    fn ratios_are_computed_pair_by_pair() {
        assert_eq!(ratios(&[6.0, 1.0, 9.0], &[2.0, 0.0, 3.0]), [3.0, 3.0]);
    }
}
