//! Results of all runs: medians, ratios pair by pair, shares.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::experiment::Outcome;
use crate::options::CongestionControl;

/// All runs with one congestion control.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    /// Congestion control.
    pub control: CongestionControl,
    /// Runs of linerate alone, at both ends.
    pub linerate: Vec<Outcome>,
    /// Runs of the kernel's stack alone, at both ends.
    pub kernel: Vec<Outcome>,
    /// Runs of both stacks at the same time; linerate is the first group.
    pub together: Vec<Outcome>,
}

/// Returns the median; for an even number of values, the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (upper, lower) = (values.len() / 2, values.len().checked_sub(1)? / 2);
    Some(f64::midpoint(values[lower], values[upper]))
}

/// Returns Jain's fairness index: 1 if all rates are equal, 1/n if one flow gets everything.
fn jain(rates: &[f64]) -> f64 {
    let (sum, squares) = rates.iter().fold((0.0, 0.0), |(s, q), rate| (s + rate, q + rate * rate));
    if squares > 0.0 { sum * sum / (rates.len() as f64 * squares) } else { 0.0 }
}

fn rates(outcomes: &[Outcome]) -> Vec<f64> {
    outcomes.iter().map(|outcome| outcome.rates.iter().sum()).collect()
}

impl Runs {
    /// Returns the ratios of linerate's rate to the kernel's, pair by pair.
    fn ratios(&self) -> Vec<f64> {
        let pairs = rates(&self.linerate).into_iter().zip(rates(&self.kernel));
        pairs.filter(|(_, kernel)| *kernel > 0.0).map(|(ours, kernel)| ours / kernel).collect()
    }

    fn fairness(&self) -> Vec<f64> {
        self.together.iter().map(|outcome| jain(&outcome.rates)).collect()
    }

    fn shares(&self, stack: usize) -> Option<f64> {
        median(self.together.iter().map(|outcome| outcome.rates[stack]).collect())
    }

    fn json(&self) -> Value {
        let frames = |outcomes: &[Outcome]| -> Vec<Value> {
            let one = |it: &Outcome| {
                let [sent, lost, overflowed] = it.frames;
                json!({"sent": sent, "lost": lost, "overflowed": overflowed})
            };
            outcomes.iter().map(one).collect()
        };
        let together: Vec<_> = self.together.iter().map(|outcome| &outcome.rates).collect();
        json!({
            "congestion_control": self.control.name(),
            "linerate": rates(&self.linerate),
            "kernel": rates(&self.kernel),
            "ratio_to_kernel": median(self.ratios()),
            "together": together,
            "jain": median(self.fairness()),
            "frames": {
                "linerate": frames(&self.linerate),
                "kernel": frames(&self.kernel),
                "together": frames(&self.together),
            },
        })
    }
}

/// Formats all runs as JSON, without the settings.
pub(super) fn json(all: &[Runs]) -> Value {
    all.iter().map(Runs::json).collect()
}

/// Formats the table.
pub(super) fn text(all: &[Runs]) -> String {
    let mut text = format!(
        "{:<9} {:>10} {:>10} {:>7}   {:>10} {:>10} {:>6}\n",
        "Mbit/s", "linerate", "kernel", "ratio", "linerate", "kernel", "Jain"
    );
    let _ = writeln!(text, "{:<9} {:^29}   {:^28}", "", "alone", "together");
    let megabits = |rate: Option<f64>| rate.map_or("-".to_owned(), |it| format!("{:.2}", it / 1e6));
    let plain = |value: Option<f64>| value.map_or("-".to_owned(), |it| format!("{it:.3}"));
    for runs in all {
        let _ = writeln!(
            text,
            "{:<9} {:>10} {:>10} {:>7}   {:>10} {:>10} {:>6}",
            runs.control.name(),
            megabits(median(rates(&runs.linerate))),
            megabits(median(rates(&runs.kernel))),
            plain(median(runs.ratios())),
            megabits(runs.shares(0)),
            megabits(runs.shares(1)),
            plain(median(runs.fairness())),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rates: &[f64]) -> Outcome {
        Outcome { rates: rates.to_vec(), frames: [10, 1, 0] }
    }

    #[test]
    fn median_and_jains_index_match_known_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        assert_eq!((jain(&[1.0, 1.0]), jain(&[1.0, 0.0]), jain(&[])), (1.0, 0.5, 0.0));
    }

    #[test]
    fn ratios_are_computed_pair_by_pair_and_shares_per_stack() {
        let runs = Runs {
            control: CongestionControl::Cubic,
            linerate: vec![outcome(&[4e6]), outcome(&[9e6])],
            kernel: vec![outcome(&[2e6]), outcome(&[3e6])],
            together: vec![outcome(&[1e6, 3e6])],
        };
        let all = json(std::slice::from_ref(&runs));
        assert_eq!(all[0]["ratio_to_kernel"], 2.5);
        assert_eq!(all[0]["jain"], 0.8);
        let text = text(&[runs]);
        assert!(
            text.contains("6.50") && text.contains("2.500") && text.contains("0.800"),
            "{text}"
        );
    }
}
