//! What a stack has counted at one time: the answer to [`Figures`](super::question::Question::Figures), as it
//! goes through the socket.

use std::collections::BTreeMap;

use linerate::metrics::{DropReason, Event, Latencies};
use linerate::runtime::{Report, WorkerReport};
use serde::{Deserialize, Serialize};

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// Counts by duration, nanoseconds.
pub type Spread = BTreeMap<u64, u64>;

/// All of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The process.
    pub pid: u32,
    /// Its interface.
    pub interface: String,
    /// Since the stack started, nanoseconds.
    pub at_ns: u64,
    /// Worker by worker.
    pub workers: Vec<Worker>,
}

/// One worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worker {
    /// Its queue.
    pub queue: u32,
    /// Its connections, those in SYN-RECEIVED included.
    pub connections: u64,
    /// Its connections in TIME-WAIT.
    pub time_waits: u64,
    /// What happened.
    pub events: Counts,
    /// What was refused.
    pub drops: Counts,
    /// Frames and bytes.
    pub link: Counts,
    /// How long turns took that found something to do.
    pub turns: Spread,
    /// How long handshakes took.
    pub handshakes: Spread,
    /// How long frames waited, where that is counted.
    pub waits: Spread,
}

impl Snapshot {
    /// Of a report, `at_ns` after the start.
    pub fn new(interface: &str, at_ns: u64, report: &Report) -> Self {
        Self {
            pid: std::process::id(),
            interface: interface.to_owned(),
            at_ns,
            workers: report.workers.iter().map(Worker::new).collect(),
        }
    }

    /// A figure of all workers together.
    pub fn sum(&self, of: impl Fn(&Worker) -> u64) -> u64 {
        self.workers.iter().map(of).sum()
    }

    /// Counts of all workers together.
    pub fn counts<K: Ord + Clone>(
        &self,
        of: impl Fn(&Worker) -> &BTreeMap<K, u64>,
    ) -> BTreeMap<K, u64> {
        let mut sum = BTreeMap::new();
        for (key, count) in self.workers.iter().flat_map(of) {
            *sum.entry(key.clone()).or_default() += count;
        }
        sum
    }
}

impl Worker {
    fn new(report: &WorkerReport) -> Self {
        let counters = &report.counters;
        let named = |(name, count): (&str, u64)| (name.to_owned(), count);
        let spread = |latencies: &Latencies| latencies.entries().collect();
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
            turns: spread(&report.turns),
            handshakes: spread(&report.handshakes),
            waits: spread(&report.waits),
        }
    }
}
