//! Copies of a worker's counters for other threads. The worker stores them with relaxed atomics
//! every 50 ms, so that its own counters stay plain additions on its own cache lines.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::link::Statistics;
use crate::metrics::{Counters, DropReason, Event, LATENCY_BUCKETS, Latencies};
use crate::shard::Memory;

/// The published copy of one worker's counters.
#[derive(Debug)]
pub(super) struct Published {
    drops: Box<[AtomicU64]>,
    events: Box<[AtomicU64]>,
    link: [AtomicU64; 8],
    memory: [AtomicU64; 5],
    connections: AtomicU64,
    time_waits: AtomicU64,
    turns: Box<[AtomicU64]>,
    handshakes: Box<[AtomicU64]>,
    waits: Box<[AtomicU64]>,
}

/// The figures that a worker publishes.
pub(super) struct Figures<'a> {
    pub(super) counters: &'a Counters,
    pub(super) link: Statistics,
    pub(super) memory: Memory,
    pub(super) connections: usize,
    pub(super) time_waits: usize,
    pub(super) turns: &'a Latencies,
    pub(super) handshakes: &'a Latencies,
    /// `None` where they are not measured.
    pub(super) waits: Option<&'a Latencies>,
}

/// The figures as other threads read them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) counters: Counters,
    pub(super) link: Statistics,
    pub(super) memory: Memory,
    pub(super) connections: usize,
    pub(super) time_waits: usize,
    pub(super) turns: Latencies,
    pub(super) handshakes: Latencies,
    pub(super) waits: Latencies,
}

fn store_all(cells: &[AtomicU64], latencies: &Latencies) {
    for (cell, count) in cells.iter().zip(latencies.counts()) {
        cell.store(*count, Ordering::Relaxed);
    }
}

fn load_all(cells: &[AtomicU64]) -> Latencies {
    let mut latencies = Latencies::default();
    for (bucket, cell) in cells.iter().enumerate() {
        latencies.set(bucket, cell.load(Ordering::Relaxed));
    }
    latencies
}

fn zeroes(n: usize) -> Box<[AtomicU64]> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}

impl Published {
    pub(super) fn new() -> Self {
        Self {
            drops: zeroes(DropReason::ALL.len()),
            events: zeroes(Event::ALL.len()),
            link: Default::default(),
            memory: Default::default(),
            connections: AtomicU64::new(0),
            time_waits: AtomicU64::new(0),
            turns: zeroes(LATENCY_BUCKETS),
            handshakes: zeroes(LATENCY_BUCKETS),
            waits: zeroes(LATENCY_BUCKETS),
        }
    }

    /// Stores the figures. Called by the worker.
    pub(super) fn store(&self, figures: &Figures<'_>) {
        let Figures { counters, link, memory, connections, time_waits, turns, handshakes, waits } =
            figures;
        for (cell, reason) in self.drops.iter().zip(DropReason::ALL) {
            cell.store(counters.dropped(*reason), Ordering::Relaxed);
        }
        for (cell, event) in self.events.iter().zip(Event::ALL) {
            cell.store(counters.counted(*event), Ordering::Relaxed);
        }
        let fields = [
            link.rx_frames,
            link.rx_bytes,
            link.tx_frames,
            link.tx_bytes,
            link.rx_dropped,
            link.tx_dropped,
            link.kicks,
            link.kicks_again,
        ];
        for (cell, value) in self.link.iter().zip(fields) {
            cell.store(value, Ordering::Relaxed);
        }
        let Memory { limit, promised, send_buffers, in_use, held } = *memory;
        for (cell, bytes) in self.memory.iter().zip([limit, promised, send_buffers, in_use, held]) {
            cell.store(bytes as u64, Ordering::Relaxed);
        }
        self.connections.store(*connections as u64, Ordering::Relaxed);
        self.time_waits.store(*time_waits as u64, Ordering::Relaxed);
        store_all(&self.turns, turns);
        store_all(&self.handshakes, handshakes);
        if let Some(waits) = waits {
            store_all(&self.waits, waits);
        }
    }

    /// Loads the figures. Each number is consistent; the set need not be from one instant.
    pub(super) fn load(&self) -> Snapshot {
        let mut counters = Counters::default();
        for (cell, reason) in self.drops.iter().zip(DropReason::ALL) {
            counters.add_drops(*reason, cell.load(Ordering::Relaxed));
        }
        for (cell, event) in self.events.iter().zip(Event::ALL) {
            counters.add(*event, cell.load(Ordering::Relaxed));
        }
        let at = |i: usize| self.link[i].load(Ordering::Relaxed);
        let link = Statistics {
            rx_frames: at(0),
            rx_bytes: at(1),
            tx_frames: at(2),
            tx_bytes: at(3),
            rx_dropped: at(4),
            tx_dropped: at(5),
            kicks: at(6),
            kicks_again: at(7),
        };
        let bytes = |i: usize| self.memory[i].load(Ordering::Relaxed) as usize;
        Snapshot {
            counters,
            link,
            memory: Memory {
                limit: bytes(0),
                promised: bytes(1),
                send_buffers: bytes(2),
                in_use: bytes(3),
                held: bytes(4),
            },
            connections: self.connections.load(Ordering::Relaxed) as usize,
            time_waits: self.time_waits.load(Ordering::Relaxed) as usize,
            turns: load_all(&self.turns),
            handshakes: load_all(&self.handshakes),
            waits: load_all(&self.waits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_they_were_stored() {
        let published = Published::new();
        let mut counters = Counters::default();
        counters.drop(DropReason::Malformed);
        counters.add(Event::SegmentIn, 7);
        let link = Statistics { kicks: 3, rx_frames: 9, ..Statistics::default() };
        let memory = Memory { limit: 9, promised: 4, send_buffers: 3, in_use: 2, held: 1 };
        let [mut turns, mut handshakes, mut waits] = [(); 3].map(|()| Latencies::default());
        turns.record(800);
        handshakes.record(1_000_000);
        waits.record(30);
        published.store(&Figures {
            counters: &counters,
            link,
            memory,
            connections: 5,
            time_waits: 6,
            turns: &turns,
            handshakes: &handshakes,
            waits: Some(&waits),
        });
        let (connections, time_waits) = (5, 6);
        let stored =
            Snapshot { counters, link, memory, connections, time_waits, turns, handshakes, waits };
        assert_eq!(published.load(), stored);
    }
}
