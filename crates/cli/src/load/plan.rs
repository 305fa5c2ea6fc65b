//! What a worker is to do: the command line, checked, and shared out among the workers.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;
use linerate::time::Duration;

/// What happens on the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pattern {
    /// Open and close, again and again.
    Connect,
    /// Request and response over kept connections: sends --request-bytes, awaits as many (echo).
    Request,
    /// Bulk in one direction: to discard, or from chargen.
    Stream,
    /// Open and hold many connections that do nothing.
    Idle,
}

impl Pattern {
    /// As the command line and reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Request => "request",
            Self::Stream => "stream",
            Self::Idle => "idle",
        }
    }
}

/// Which way a stream flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// Receive if the target begins to send at once, else send.
    Auto,
    /// To the target.
    Send,
    /// From the target.
    Receive,
}

/// When a connection of the connect pattern is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// In the turn that it opened: a stack may join the FIN with the handshake's last ACK.
    AtOnce,
    /// In the next turn: seven segments a connection, as any program on sockets makes them.
    NextTurn,
}

/// One worker's part.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What happens on a connection.
    pub pattern: Pattern,
    /// Where to, in turn.
    pub targets: Vec<SocketAddr>,
    /// From where, in turn; empty leaves it to the stack.
    pub sources: Vec<IpAddr>,
    /// Connections at once; for idle: handshakes at once.
    pub concurrency: u64,
    /// Connections in all; for idle: to hold.
    pub connections: Option<u64>,
    /// How long to measure.
    pub duration: Option<Duration>,
    /// How long to run before measuring.
    pub warm_up: Duration,
    /// How long to wait for the open connections at the end.
    pub grace: Duration,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// Requests on a connection before it is closed.
    pub requests_per_connection: Option<u64>,
    /// Bytes of a stream before it is closed.
    pub bytes_per_connection: Option<u64>,
    /// Which way a stream flows.
    pub direction: Direction,
    /// When the connect pattern closes.
    pub closing: Closing,
    /// Whether the first request goes with the SYN where that can be.
    pub fast_open: bool,
}

impl Plan {
    /// The part of worker `index` of `workers`: its share of the numbers, all of the rest, and its own
    /// source addresses where there are enough for all, so that no two workers want the same port. Each begins
    /// with another target, so that few connections of many workers still go to all.
    pub fn share(&self, index: usize, workers: usize) -> Self {
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

    /// Whether all of a connection's life lies within the measurement, however long that takes: a run of
    /// so many connections, rather than of so many seconds.
    pub fn is_counted(&self) -> bool {
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
            requests_per_connection: None,
            bytes_per_connection: None,
            direction: Direction::Auto,
            closing: Closing::AtOnce,
            fast_open: false,
        }
    }

    #[test]
    fn the_shares_add_up() {
        let mut plan = plan(Pattern::Connect);
        plan.sources = (1..=5).map(|host| IpAddr::from([10, 0, 0, host])).collect();
        let shares: Vec<Plan> = (0..3).map(|index| plan.share(index, 3)).collect();
        assert_eq!(shares.iter().map(|it| it.concurrency).sum::<u64>(), 4);
        assert_eq!(shares.iter().filter_map(|it| it.connections).sum::<u64>(), 10);
        assert_eq!(shares.iter().map(|it| it.sources.len()).collect::<Vec<_>>(), [2, 2, 1]);
    }

    #[test]
    fn workers_with_one_connection_each_go_to_all_targets() {
        let mut plan = plan(Pattern::Request);
        plan.targets = vec![([127, 0, 0, 1], 7).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 7).into()];
        let firsts = (0..4).map(|index| plan.share(index, 4).targets[0].is_ipv4());
        assert_eq!(firsts.collect::<Vec<_>>(), [true, false, true, false]);
    }
}
