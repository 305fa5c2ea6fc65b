//! The object of `bench --json` (a contract: keys, units).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::figures::{Spread, median_index, ratios};
use super::suite::{Results, Series};
use super::trial::Run;

/// What one workload shows, beside the runs themselves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The median of the ratios of each pair of runs.
    pub ratio_to_kernel: Option<f64>,
    /// The median share of the ceiling measured just before: of seven segments a connection, or of echoes.
    pub share_of_ceiling: Option<f64>,
    /// The same, of an exchange of as many segments as linerate sent: it joins FINs to ACKs where it may.
    pub share_of_ceiling_in_as_many_segments: Option<f64>,
    /// Of the ratios.
    pub ratio_spread: Option<Spread>,
    /// Of linerate's rates.
    pub linerate_spread: Option<Spread>,
    /// Of the kernel's rates.
    pub kernel_spread: Option<Spread>,
    /// Of the ceilings measured beside them.
    pub ceiling_spread: Option<Spread>,
}

impl Verdict {
    /// Of a series.
    pub fn of(series: &Series) -> Self {
        let rates = |runs: &[Run]| -> Vec<f64> {
            runs.iter().map(|run| run.number(series.workload.rate())).collect()
        };
        let (linerate, kernel) = (rates(&series.linerate), rates(&series.kernel));
        let ratio_spread = Spread::of(ratios(&linerate, &kernel));
        let share = Spread::of(ratios(&linerate, &series.ceiling));
        let alike = Spread::of(ratios(&linerate, &series.ceiling_alike));
        Self {
            ratio_to_kernel: ratio_spread.map(|it| it.median),
            share_of_ceiling: share.map(|it| it.median),
            share_of_ceiling_in_as_many_segments: alike.map(|it| it.median),
            ratio_spread,
            linerate_spread: Spread::of(linerate),
            kernel_spread: Spread::of(kernel),
            ceiling_spread: Spread::of(series.ceiling.iter().copied()),
        }
    }
}

/// The run in the middle.
pub fn median_run<'a>(series: &Series, runs: &'a [Run]) -> Option<&'a Run> {
    let rates: Vec<f64> = runs.iter().map(|run| run.number(series.workload.rate())).collect();
    median_index(&rates).and_then(|index| runs.get(index))
}

/// The whole object.
pub fn json(results: &Results, settings: &Value) -> Value {
    let mut patterns = Map::new();
    for series in &results.series {
        let name = series.workload.pattern.name();
        if series.workload.single {
            // Beside the run of many connections, which comes first.
            if let Some(Value::Object(many)) = patterns.get_mut(name) {
                many.insert("single".into(), of_series(series));
            }
        } else {
            patterns.insert(name.into(), of_series(series));
        }
    }
    let Results { ceiling, took, .. } = results;
    json!({
        "ceiling": ceiling,
        "patterns": patterns,
        "settings": settings,
        "seconds": took.as_secs_f64(),
    })
}

fn of_series(series: &Series) -> Value {
    let mut object = json!(Verdict::of(series));
    object["concurrency"] = series.workload.concurrency.into();
    object["linerate"] = of_runs(series, &series.linerate);
    object["kernel"] = of_runs(series, &series.kernel);
    object
}

/// The median run's report, and all of them.
fn of_runs(series: &Series, runs: &[Run]) -> Value {
    let mut median = median_run(series, runs).map(|run| run.report.clone()).unwrap_or_default();
    median.insert("runs".into(), runs.iter().map(|run| json!(run.report)).collect());
    Value::Object(median)
}
