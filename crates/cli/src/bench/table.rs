//! The report of a benchmark as text.

use std::fmt::Write as _;

use super::ceiling::Ceiling;
use super::curve::{self, Curve};
use super::http;
use super::report::{Comparison, median_run};
use super::stats::Spread;
use super::suite::{Results, Series};
use super::trial::Run;

/// Formats all results.
pub(super) fn text(results: &Results) -> String {
    let mut text = of_ceiling(&results.ceiling);
    for series in &results.series {
        text += "\n";
        text += &of_series(series);
    }
    if let Some(standings) = &results.hyper {
        text += "\n";
        text += &http::text(standings);
    }
    let _ = writeln!(text, "\nmeasured in {:.0} s", results.took.as_secs_f64());
    text
}

fn of_ceiling(ceiling: &Ceiling) -> String {
    let mut text = format!("ceiling: raw AF_XDP without a stack ({})\n", ceiling.attachment);
    let _ = writeln!(
        text,
        "  {:<28} {:>10} {:>10} {:>10} {:>9} {:>9} {:>7}",
        "per second", "min", "median", "max", "p50 µs", "p99 µs", "lost"
    );
    for echo in &ceiling.echo {
        let name = format!("64-byte echo, batch {}", echo.batch);
        let micros = |nanos: u64| format!("{:.1}", nanos as f64 / 1e3);
        let (p50, p99) = echo
            .latency
            .as_ref()
            .map_or_else(Default::default, |it| (micros(it.p50), micros(it.p99)));
        let _ = writeln!(text, "{} {p50:>9} {p99:>9} {:>7}", row(&name, echo.spread), echo.lost);
    }
    for it in [&ceiling.exchange, &ceiling.joined] {
        let name = format!("{} segments, {} in flight", it.segments, it.concurrency);
        let _ = writeln!(text, "{} {:>9} {:>9} {:>7}", row(&name, it.spread), "", "", it.lost);
    }
    let _ = writeln!(text, "  dropped by interfaces and sockets: {}", ceiling.drops.total());
    text
}

fn row(name: &str, spread: Spread) -> String {
    format!("  {name:<28} {:>10.0} {:>10.0} {:>10.0}", spread.min, spread.median, spread.max)
}

fn of_series(series: &Series) -> String {
    let comparison = Comparison::of(series);
    let workload = &series.workload;
    let mut text = format!("{}, {} concurrent\n", workload.pattern.name(), workload.concurrency);
    let _ = writeln!(
        text,
        "  {:<28} {:>10} {:>10} {:>10} {:>9} {:>9} {:>7}",
        workload.rate().replace('_', " "),
        "min",
        "median",
        "max",
        "failed",
        "retrans",
        "dropped"
    );
    let stacks = [
        ("linerate", comparison.linerate_spread, &series.linerate),
        ("kernel", comparison.kernel_spread, &series.kernel),
    ];
    for (name, spread, runs) in stacks {
        if let Some(spread) = spread {
            let sum = |count: fn(&Run) -> u64| runs.iter().map(count).sum::<u64>();
            let (failed, dropped) = (sum(Run::failed), sum(|run| run.drops.total()));
            let retransmitted = sum(|run| run.number("retransmissions") as u64);
            let _ =
                writeln!(text, "{} {failed:>9} {retransmitted:>9} {dropped:>7}", row(name, spread));
        }
    }
    if let Some(spread) = comparison.ceiling_spread {
        let _ = writeln!(text, "{}", row("ceiling", spread));
    }
    text += &ratios(series, &comparison);
    text += &latencies(series);
    text
}

fn ratios(series: &Series, comparison: &Comparison) -> String {
    let mut text = String::new();
    if let Some(ratio) = comparison.ratio_spread {
        let Spread { min, median, max } = ratio;
        let _ = writeln!(
            text,
            "  linerate: {median:.2} times the kernel (pair by pair: {min:.2} to {max:.2})"
        );
    }
    if let Some(share) = comparison.share_of_ceiling {
        let _ = writeln!(text, "  linerate: {:.0} % of the ceiling", share * 100.0);
    }
    let segments = |runs: &[Run]| median_run(series, runs).and_then(Run::segments);
    if let (Some(ours), Some(theirs)) = (segments(&series.linerate), segments(&series.kernel)) {
        let _ = writeln!(text, "  segments per connection: linerate {ours:.2}, kernel {theirs:.2}");
    }
    if let Some(share) = comparison.share_of_ceiling_in_as_many_segments {
        let share = share * 100.0;
        let _ =
            writeln!(text, "  linerate: {share:.0} % of a stateless exchange of as many segments");
    }
    text
}

fn latencies(series: &Series) -> String {
    let curves = |runs: &[Run], name: &str| {
        let run = median_run(series, runs);
        let file = run.and_then(|run| run.histograms.iter().find(|(of, _)| *of == name).cloned());
        file.map_or_else(Curve::default, |(_, path)| Curve::read(&path))
    };
    let names = series.workload.latencies().iter();
    let drawn = names.map(|name| {
        curve::draw(name, &curves(&series.linerate, name), &curves(&series.kernel, name))
    });
    drawn.collect()
}
