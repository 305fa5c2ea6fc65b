//! Medians and spreads of a handful of runs.

use serde::Serialize;

/// Smallest, middle, largest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The middle one; of an even number, the lower of the two in the middle.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of some values; `None` when there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().collect();
        let order = order(&values);
        let (first, last) = (*order.first()?, *order.last()?);
        let median = values[order[(order.len() - 1) / 2]];
        Some(Self { min: values[first], median, max: values[last] })
    }
}

/// Which of the values is the median: one of them, so that the run it belongs to can be shown.
pub fn median_index(values: &[f64]) -> Option<usize> {
    order(values).get(values.len().saturating_sub(1) / 2).copied()
}

fn order(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    order
}

/// The quotients of two series, pair by pair; pairs without a divisor are left out.
pub fn ratios(dividends: &[f64], divisors: &[f64]) -> Vec<f64> {
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
    fn the_median_is_one_of_the_values() {
        let values = [5.0, 1.0, 4.0, 2.0];
        assert_eq!(Spread::of(values), Some(Spread { min: 1.0, median: 2.0, max: 5.0 }));
        assert_eq!(median_index(&values), Some(3));
        assert_eq!((Spread::of([]), median_index(&[])), (None, None));
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        assert_eq!(ratios(&[6.0, 1.0, 9.0], &[2.0, 0.0, 3.0]), [3.0, 3.0]);
    }
}
