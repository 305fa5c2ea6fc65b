//! The result of one run.

use serde::Serialize;

/// Result of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Outcome {
    /// Complete requests per second.
    pub requests_per_second: f64,
    /// Median latency in nanoseconds.
    pub p50: f64,
    /// 99th percentile of the latency in nanoseconds.
    pub p99: f64,
    /// Connections and requests that failed.
    pub failed: u64,
    /// Packets that the interfaces dropped.
    pub dropped: u64,
}
