//! The object of `bench --json` (a contract: keys and units).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::http;
use super::stats::{Spread, median_index, ratios};
use super::suite::{Results, Series};
use super::trial::Run;

/// Comparison of the stacks on one workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// Median of the ratios of linerate to the kernel, pair by pair.
    pub ratio_to_kernel: Option<f64>,
    /// Median share of the ceiling of the same round: of the exchange of seven segments, or of the
    /// echo.
    pub share_of_ceiling: Option<f64>,
    /// Median share of an exchange of as many segments as linerate sent (it piggybacks FINs on
    /// ACKs).
    pub share_of_ceiling_in_as_many_segments: Option<f64>,
    /// Spread of the ratios.
    pub ratio_spread: Option<Spread>,
    /// Spread of linerate's rates.
    pub linerate_spread: Option<Spread>,
    /// Spread of the kernel's rates.
    pub kernel_spread: Option<Spread>,
    /// Spread of the ceiling over the same rounds.
    pub ceiling_spread: Option<Spread>,
}

impl Comparison {
    /// Compares the runs of a series.
    pub(super) fn of(series: &Series) -> Self {
        let rates = |runs: &[Run]| -> Vec<f64> {
            runs.iter().map(|run| run.number(series.workload.rate())).collect()
        };
        let (linerate, kernel) = (rates(&series.linerate), rates(&series.kernel));
        let ratio_spread = Spread::of(ratios(&linerate, &kernel));
        let share = Spread::of(ratios(&linerate, &series.ceiling));
        let same_segments = Spread::of(ratios(&linerate, &series.ceiling_same_segments));
        Self {
            ratio_to_kernel: ratio_spread.map(|it| it.median),
            share_of_ceiling: share.map(|it| it.median),
            share_of_ceiling_in_as_many_segments: same_segments.map(|it| it.median),
            ratio_spread,
            linerate_spread: Spread::of(linerate),
            kernel_spread: Spread::of(kernel),
            ceiling_spread: Spread::of(series.ceiling.iter().copied()),
        }
    }
}

/// Returns the run with the median rate.
pub(super) fn median_run<'a>(series: &Series, runs: &'a [Run]) -> Option<&'a Run> {
    let rates: Vec<f64> = runs.iter().map(|run| run.number(series.workload.rate())).collect();
    median_index(&rates).and_then(|index| runs.get(index))
}

/// Builds the JSON object.
pub(super) fn json(results: &Results, settings: &Value) -> Value {
    let mut patterns = Map::new();
    for series in &results.series {
        let name = series.workload.pattern.name();
        if series.workload.single {
            // Nested in the entry with many connections, which comes first.
            if let Some(Value::Object(many)) = patterns.get_mut(name) {
                many.insert("single".into(), of_series(series));
            }
        } else {
            patterns.insert(name.into(), of_series(series));
        }
    }
    let Results { ceiling, took, .. } = results;
    let mut report = json!({
        "ceiling": ceiling,
        "patterns": patterns,
        "settings": settings,
        "seconds": took.as_secs_f64(),
    });
    if let Some(standings) = &results.hyper {
        report["hyper"] = http::json(standings);
    }
    report
}

fn of_series(series: &Series) -> Value {
    let mut object = json!(Comparison::of(series));
    object["concurrency"] = series.workload.concurrency.into();
    object["linerate"] = of_runs(series, &series.linerate);
    object["kernel"] = of_runs(series, &series.kernel);
    object
}

/// Returns the report of the median run, with the reports of all runs in `runs`.
fn of_runs(series: &Series, runs: &[Run]) -> Value {
    let mut median = median_run(series, runs).map(|run| run.report.clone()).unwrap_or_default();
    median.insert("runs".into(), runs.iter().map(|run| json!(run.report)).collect());
    Value::Object(median)
}
