//! The validated plan of a run, divided among the workers.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use linerate::time::Duration;

/// A load pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pattern {
    /// Open and close connections in a loop.
    Connect,
    /// Request and response on persistent connections (echo).
    Request,
    /// Bulk transfer in one direction: to discard, or from chargen.
    Stream,
    /// Open many connections and hold them idle.
    Idle,
}

impl Pattern {
    /// Returns the name used on the command line and in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Request => "request",
            Self::Stream => "stream",
            Self::Idle => "idle",
        }
    }
}

/// Direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Direction {
    /// Receive if the target sends immediately, otherwise send.
    Auto,
    /// Send to the target.
    Send,
    /// Receive from the target.
    Receive,
}

/// Turn in which the connect pattern closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// In the same turn that it opens: a stack may send the FIN with the last ACK of the handshake.
    SameTurn,
    /// In the next turn: seven segments per connection, as with any program on kernel sockets.
    NextTurn,
}

/// The plan of one worker.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Load pattern.
    pub pattern: Pattern,
    /// Targets, used round robin.
    pub targets: Vec<SocketAddr>,
    /// Source addresses, used round robin. If empty, the stack chooses.
    pub sources: Vec<IpAddr>,
    /// Concurrent connections; for idle: concurrent handshakes.
    pub concurrency: u64,
    /// Total number of connections; for idle: connections to hold.
    pub connections: Option<u64>,
    /// Length of the measurement.
    pub duration: Option<Duration>,
    /// Length of the warm-up.
    pub warm_up: Duration,
    /// Time that open connections have to close at the end.
    pub grace: Duration,
    /// Size of a request.
    pub request_bytes: usize,
    /// Requests are of HTTP, and responses have this size.
    pub http_response_bytes: Option<usize>,
    /// Requests per connection before it closes.
    pub requests_per_connection: Option<u64>,
    /// Bytes per stream before it closes.
    pub bytes_per_connection: Option<u64>,
    /// Direction of a stream.
    pub direction: Direction,
    /// Turn in which the connect pattern closes a connection.
    pub closing: Closing,
    /// Sends the first request in the SYN where possible (TCP Fast Open).
    pub fast_open: bool,
}

impl Plan {
    /// Returns the plan of worker `index` of `workers`.
    ///
    /// The workers divide the connection counts. They also divide the source addresses if there are
    /// at least as many as workers, so that no two workers compete for the same ports. Each worker
    /// starts with a different target, so that a few connections on many workers still reach all
    /// targets.
    pub(super) fn share(&self, index: usize, workers: usize) -> Self {
        let part = |total: u64| {
            let (index, workers) = (index as u64, workers as u64);
            total / workers + u64::from(index < total % workers)
        };
        let sources = if self.sources.len() >= workers {
            self.sources.iter().copied().skip(index).step_by(workers).collect()
        } else {
            self.sources.clone()
        };
        let mut targets = self.targets.clone();
        targets.rotate_left(index % self.targets.len().max(1));
        Self {
            targets,
            concurrency: part(self.concurrency),
            connections: self.connections.map(part),
            sources,
            ..self.clone()
        }
    }

    /// Returns true if the run ends after a number of connections, not after a duration. Then the
    /// measurement covers the whole life of every connection.
    pub(super) fn is_counted(&self) -> bool {
        self.connections.is_some() && self.pattern != Pattern::Idle
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn plan(pattern: Pattern) -> Plan {
        Plan {
            pattern,
            targets: vec![([127, 0, 0, 1], 9).into()],
            sources: Vec::new(),
            concurrency: 4,
            connections: Some(10),
            duration: None,
            warm_up: Duration::ZERO,
            grace: Duration::from_secs(1),
            request_bytes: 8,
            http_response_bytes: None,
            requests_per_connection: None,
            bytes_per_connection: None,
            direction: Direction::Auto,
            closing: Closing::SameTurn,
            fast_open: false,
        }
    }

    #[test]
    fn shares_of_all_workers_add_up_to_the_plan() {
        let mut plan = plan(Pattern::Connect);
        plan.sources = (1..=5).map(|host| IpAddr::from([10, 0, 0, host])).collect();
        let shares: Vec<Plan> = (0..3).map(|index| plan.share(index, 3)).collect();
        assert_eq!(shares.iter().map(|it| it.concurrency).sum::<u64>(), 4);
        assert_eq!(shares.iter().filter_map(|it| it.connections).sum::<u64>(), 10);
        assert_eq!(shares.iter().map(|it| it.sources.len()).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn workers_with_one_connection_each_reach_all_targets() {
        let mut plan = plan(Pattern::Request);
        plan.targets = vec![([127, 0, 0, 1], 7).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 7).into()];
        let firsts = (0..4).map(|index| plan.share(index, 4).targets[0].is_ipv4());
        assert_eq!(firsts.collect::<Vec<_>>(), [true, false, true, false]);
    }
}
