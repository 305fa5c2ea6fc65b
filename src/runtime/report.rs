//! The counters of a stack, worker by worker.

use super::mailbox::Mailbox;
use crate::link::Statistics;
use crate::metrics::{Counters, Latencies};
use crate::shard::Memory;

/// The counters of one worker.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its queue.
    pub queue: u32,
    /// Counters of its shard.
    pub counters: Counters,
    /// Counters of its link.
    pub link: Statistics,
    /// Memory of its buffers.
    pub memory: Memory,
    /// Number of connections.
    pub connections: usize,
    /// Number of connections in TIME-WAIT.
    pub time_waits: usize,
    /// Duration of the turns that had work: an upper bound on how long a frame waits for its
    /// answer.
    pub turns: Latencies,
    /// Duration of handshakes, from our SYN or SYN-ACK to the peer's answer.
    pub handshakes: Latencies,
    /// Time from the arrival of a frame to the turn that processed it
    /// ([`StackConfig::rx_timestamps`](super::StackConfig::rx_timestamps)).
    pub waits: Latencies,
}

impl WorkerReport {
    /// Reads what the worker of `queue` last published.
    pub(super) fn of(queue: u32, mailbox: &Mailbox) -> Self {
        let figures = mailbox.published.load();
        Self {
            queue,
            counters: figures.counters,
            link: figures.link,
            memory: figures.memory,
            connections: figures.connections,
            time_waits: figures.time_waits,
            turns: figures.turns,
            handshakes: figures.handshakes,
            waits: figures.waits,
        }
    }
}

/// The counters of a stack, while it runs or at its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// One report per worker.
    pub workers: Vec<WorkerReport>,
}

impl Report {
    /// Returns the sum of all workers' counters.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.workers.iter().for_each(|w| sum.merge(&w.counters));
        sum
    }

    /// Returns the number of connections of all workers.
    pub fn connections(&self) -> usize {
        self.workers.iter().map(|w| w.connections).sum()
    }
}
