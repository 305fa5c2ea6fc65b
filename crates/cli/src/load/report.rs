//! The report of a run: the object of `--json` (a contract: keys and units) and the text.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::plan::Pattern;
use super::tally::{Latencies, Tally};
use crate::options::Stack;

/// Latency percentiles in nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    count: u64,
    /// Median.
    pub p50: u64,
    p90: u64,
    /// 99th percentile.
    pub p99: u64,
    p999: u64,
    max: u64,
    mean: f64,
}

impl Percentiles {
    /// Returns the percentiles of a histogram; `None` if it is empty.
    pub(crate) fn of(latencies: &Latencies) -> Option<Self> {
        (!latencies.is_empty()).then(|| Self {
            count: latencies.len(),
            p50: latencies.value_at_quantile(0.5),
            p90: latencies.value_at_quantile(0.9),
            p99: latencies.value_at_quantile(0.99),
            p999: latencies.value_at_quantile(0.999),
            max: latencies.max(),
            mean: latencies.mean(),
        })
    }
}

/// The report of a run of `load`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Report {
    pattern: &'static str,
    stack: &'static str,
    seconds: f64,
    connections_opened: u64,
    connections_completed: u64,
    connections_per_second: f64,
    requests: u64,
    requests_per_second: f64,
    bytes_sent: u64,
    bytes_received: u64,
    bits_per_second: f64,
    failed: BTreeMap<&'static str, u64>,
    retransmissions: u64,
    handshake: Option<Percentiles>,
    teardown: Option<Percentiles>,
    request: Option<Percentiles>,
}

impl Report {
    /// Builds the report from the merged tally of all workers.
    pub(super) fn new(pattern: Pattern, stack: Stack, tally: &Tally) -> Self {
        let seconds = tally.measured.as_secs_f64();
        let rate = |count: f64, seconds: f64| if seconds > 0.0 { count / seconds } else { 0.0 };
        // Idle connections open during the ramp, before the measurement.
        let connections_per_second = match pattern {
            Pattern::Idle => rate(tally.opened as f64, tally.ramp.as_secs_f64()),
            _ => rate(tally.completed as f64, seconds),
        };
        let bits = (tally.bytes_sent + tally.bytes_received) as f64 * 8.0;
        Self {
            pattern: pattern.name(),
            stack: stack.name(),
            seconds,
            connections_opened: tally.opened,
            connections_completed: tally.completed,
            connections_per_second,
            requests: tally.requests,
            requests_per_second: rate(tally.requests as f64, seconds),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            bits_per_second: rate(bits, seconds),
            failed: tally.failed.clone(),
            retransmissions: tally.retransmissions,
            handshake: Percentiles::of(&tally.handshake),
            teardown: Percentiles::of(&tally.teardown),
            request: Percentiles::of(&tally.request),
        }
    }

    /// Returns true if no connection was established.
    pub(super) fn has_no_connections(&self) -> bool {
        self.connections_opened == 0
    }

    /// Returns the most frequent cause of failure.
    pub(super) fn main_cause(&self) -> &'static str {
        self.failed.iter().max_by_key(|(_, times)| **times).map_or("timed-out", |(cause, _)| cause)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {}, {:.3} s", self.pattern, self.stack, self.seconds)?;
        writeln!(
            f,
            "  connections   {} opened, {} closed cleanly, {:.0} per second",
            self.connections_opened, self.connections_completed, self.connections_per_second
        )?;
        if self.requests > 0 {
            let (all, rate) = (self.requests, self.requests_per_second);
            writeln!(f, "  requests      {all} total, {rate:.0} per second")?;
        }
        if self.bytes_sent + self.bytes_received > 0 {
            writeln!(
                f,
                "  payload       {} bytes sent, {} received, {:.3} Gbit/s",
                self.bytes_sent,
                self.bytes_received,
                self.bits_per_second / 1e9
            )?;
        }
        let causes: Vec<String> =
            self.failed.iter().map(|(cause, times)| format!("{times} {cause}")).collect();
        let causes = if causes.is_empty() { "none".into() } else { causes.join(", ") };
        writeln!(f, "  failed        {causes}")?;
        writeln!(f, "  retransmitted {} segments", self.retransmissions)?;
        let latencies = [
            ("handshake", &self.handshake),
            ("teardown", &self.teardown),
            ("request", &self.request),
        ];
        if latencies.iter().any(|(_, percentiles)| percentiles.is_some()) {
            writeln!(
                f,
                "  {:<10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
                "µs", "count", "p50", "p90", "p99", "p99.9", "max", "mean"
            )?;
        }
        for (name, percentiles) in latencies {
            if let Some(it) = percentiles {
                write!(f, "  {name:<10} {:>10}", it.count)?;
                for nanos in [it.p50, it.p90, it.p99, it.p999, it.max] {
                    write!(f, " {:>10.1}", nanos as f64 / 1e3)?;
                }
                writeln!(f, " {:>10.1}", it.mean / 1e3)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::record;
    use super::*;
    use linerate::time::Duration;

    #[test]
    fn json_keys_match_the_contract() {
        let mut tally = Tally::new();
        record(&mut tally.handshake, Duration::from_micros(7));
        let report = Report::new(Pattern::Connect, Stack::Kernel, &tally);
        let json = serde_json::to_value(&report).expect("plain data serializes");
        let mut keys: Vec<&str> =
            json.as_object().into_iter().flat_map(|it| it.keys()).map(String::as_str).collect();
        keys.sort_unstable();
        let mut expected = [
            "pattern",
            "stack",
            "seconds",
            "connections_opened",
            "connections_completed",
            "connections_per_second",
            "requests",
            "requests_per_second",
            "bytes_sent",
            "bytes_received",
            "bits_per_second",
            "failed",
            "retransmissions",
            "handshake",
            "teardown",
            "request",
        ];
        expected.sort_unstable();
        assert_eq!(keys, expected);
        assert!(json["request"].is_null() && json["failed"].is_object());
        for key in ["count", "p50", "p90", "p99", "p999", "max", "mean"] {
            assert!(json["handshake"][key].is_number(), "{key}");
        }
    }

    #[test]
    fn rates_of_a_run_without_duration_are_zero() {
        let report = Report::new(Pattern::Request, Stack::Kernel, &Tally::new());
        assert_eq!((report.requests_per_second, report.has_no_connections()), (0.0, true));
    }
}
