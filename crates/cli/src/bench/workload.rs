//! Workloads for both stacks: a load pattern with its concurrency, and the service that it needs.

use crate::load::Pattern;

/// Port of the service.
pub(super) const PORT: u16 = 7009;

/// A load pattern with its concurrency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Workload {
    /// Load pattern.
    pub pattern: Pattern,
    /// Concurrent connections.
    pub concurrency: u64,
    /// True for the run with one connection, which measures latency, of a pattern that also runs
    /// with many.
    pub single: bool,
}

/// Connections that the idle pattern holds.
const IDLE_CONNECTIONS: u64 = 10_000;

impl Workload {
    /// Returns the workloads of a pattern. The request pattern has a second one, with one
    /// connection.
    pub(super) fn of(pattern: Pattern, concurrency: Option<u64>) -> Vec<Self> {
        let usual = match pattern {
            Pattern::Connect | Pattern::Idle => 64,
            Pattern::Request => 16,
            Pattern::Stream => 1,
        };
        let concurrency = concurrency.unwrap_or(usual);
        let many = Self { pattern, concurrency, single: false };
        let one = Self { pattern, concurrency: 1, single: true };
        match pattern {
            Pattern::Request if concurrency > 1 => vec![many, one],
            _ => vec![many],
        }
    }

    /// Returns the name used for files and progress lines.
    pub(super) fn name(&self) -> String {
        let suffix = if self.single { "-single" } else { "" };
        format!("{}{suffix}", self.pattern.name())
    }

    /// Returns the name of the service.
    pub(super) const fn service(&self) -> &'static str {
        match self.pattern {
            Pattern::Connect => "close",
            Pattern::Request => "echo",
            Pattern::Stream | Pattern::Idle => "discard",
        }
    }

    /// Returns the key in the JSON of `load` by which runs are compared; higher is better.
    pub(super) const fn rate(&self) -> &'static str {
        match self.pattern {
            Pattern::Connect | Pattern::Idle => "connections_per_second",
            Pattern::Request => "requests_per_second",
            Pattern::Stream => "bits_per_second",
        }
    }

    /// Returns the names of the latencies in the report.
    pub(super) const fn latencies(&self) -> &'static [&'static str] {
        match self.pattern {
            Pattern::Connect | Pattern::Idle => &["handshake", "teardown"],
            Pattern::Request => &["request"],
            Pattern::Stream => &[],
        }
    }

    /// Returns the arguments of `load` for this workload.
    pub(super) fn arguments(&self, request_bytes: u64) -> Vec<String> {
        let mut arguments = vec![
            format!("--pattern={}", self.pattern.name()),
            format!("--concurrency={}", self.concurrency),
        ];
        match self.pattern {
            Pattern::Request => arguments.push(format!("--request-bytes={request_bytes}")),
            Pattern::Idle => arguments.push(format!("--connections={IDLE_CONNECTIONS}")),
            Pattern::Connect | Pattern::Stream => {}
        }
        arguments
    }
}
