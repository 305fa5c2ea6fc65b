//! What is run on both stacks: a pattern of load at one concurrency, and the service that answers it.

use crate::load::Pattern;

/// The port of the service.
pub const PORT: u16 = 7009;

/// A pattern at one concurrency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What happens on a connection.
    pub pattern: Pattern,
    /// Connections at once.
    pub concurrency: u64,
    /// One connection of a pattern that is also run with many: its latency is the point.
    pub single: bool,
}

/// Connections held by the idle pattern.
const IDLE_CONNECTIONS: u64 = 10_000;

impl Workload {
    /// The runs of a pattern: the request pattern has a second one, of one connection.
    pub fn of(pattern: Pattern, concurrency: Option<u64>) -> Vec<Self> {
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

    /// The name of its files, and of its progress.
    pub fn name(&self) -> String {
        let suffix = if self.single { "-single" } else { "" };
        format!("{}{suffix}", self.pattern.name())
    }

    /// What serves it.
    pub const fn service(&self) -> &'static str {
        match self.pattern {
            Pattern::Connect => "close",
            Pattern::Request => "echo",
            Pattern::Stream | Pattern::Idle => "discard",
        }
    }

    /// The key of `load`'s JSON by which runs are compared: more is better.
    pub const fn rate(&self) -> &'static str {
        match self.pattern {
            Pattern::Connect | Pattern::Idle => "connections_per_second",
            Pattern::Request => "requests_per_second",
            Pattern::Stream => "bits_per_second",
        }
    }

    /// The latencies that its report has.
    pub const fn latencies(&self) -> &'static [&'static str] {
        match self.pattern {
            Pattern::Connect | Pattern::Idle => &["handshake", "teardown"],
            Pattern::Request => &["request"],
            Pattern::Stream => &[],
        }
    }

    /// The arguments of `load` that say what to do.
    pub fn arguments(&self, request_bytes: u64) -> Vec<String> {
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
