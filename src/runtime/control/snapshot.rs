//! A snapshot of all counters of a stack: the response to
//! [`Figures`](super::Request::Figures).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::report::{Report, WorkerReport};
use crate::metrics::{DropReason, Event, Latencies};

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// Latency histogram: counts by duration in nanoseconds, the middle of the bucket.
pub type LatencyBuckets = BTreeMap<u64, u64>;

/// All counters of a stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Process ID.
    pub pid: u32,
    /// Network interface.
    pub interface: String,
    /// Nanoseconds since the stack started.
    pub at_ns: u64,
    /// Counters of each worker.
    pub workers: Vec<WorkerSnapshot>,
}

/// The counters of one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerSnapshot {
    /// Queue number.
    pub queue: u32,
    /// Connections, including those in SYN-RECEIVED.
    pub connections: u64,
    /// Connections in TIME-WAIT.
    pub time_waits: u64,
    /// Events by name.
    pub events: Counts,
    /// Dropped packets by reason.
    pub drops: Counts,
    /// Frame and byte counts.
    pub link: Counts,
    /// Duration of turns that had work to do.
    pub turns: LatencyBuckets,
    /// Duration of handshakes.
    pub handshakes: LatencyBuckets,
    /// Time that frames waited for a turn; empty without
    /// [`rx_timestamps`](crate::StackConfig::rx_timestamps).
    pub waits: LatencyBuckets,
}

impl Snapshot {
    /// Converts a report made `at_ns` after the start.
    pub(super) fn new(interface: &str, at_ns: u64, report: &Report) -> Self {
        Self {
            pid: std::process::id(),
            interface: interface.to_owned(),
            at_ns,
            workers: report.workers.iter().map(WorkerSnapshot::new).collect(),
        }
    }

    /// Returns the sum of a number over all workers.
    pub fn sum(&self, of: impl Fn(&WorkerSnapshot) -> u64) -> u64 {
        self.workers.iter().map(of).sum()
    }

    /// Returns the sum of a set of counts over all workers.
    pub fn counts<K: Ord + Clone>(
        &self,
        of: impl Fn(&WorkerSnapshot) -> &BTreeMap<K, u64>,
    ) -> BTreeMap<K, u64> {
        let mut sum = BTreeMap::new();
        for (key, count) in self.workers.iter().flat_map(of) {
            *sum.entry(key.clone()).or_default() += count;
        }
        sum
    }
}

impl WorkerSnapshot {
    fn new(report: &WorkerReport) -> Self {
        let counters = &report.counters;
        let named = |(name, count): (&str, u64)| (name.to_owned(), count);
        let buckets = |latencies: &Latencies| latencies.entries().collect();
        let link = &report.link;
        Self {
            queue: report.queue,
            connections: report.connections as u64,
            time_waits: report.time_waits as u64,
            events: Event::ALL.iter().map(|it| named((it.name(), counters.counted(*it)))).collect(),
            drops: DropReason::ALL
                .iter()
                .filter(|it| counters.dropped(**it) > 0)
                .map(|it| named((it.name(), counters.dropped(*it))))
                .collect(),
            link: [
                ("rx_frames", link.rx_frames),
                ("rx_bytes", link.rx_bytes),
                ("tx_frames", link.tx_frames),
                ("tx_bytes", link.tx_bytes),
                ("rx_dropped", link.rx_dropped),
                ("tx_dropped", link.tx_dropped),
                ("kicks", link.kicks),
                ("kicks_again", link.kicks_again),
            ]
            .map(named)
            .into(),
            turns: buckets(&report.turns),
            handshakes: buckets(&report.handshakes),
            waits: buckets(&report.waits),
        }
    }
}
