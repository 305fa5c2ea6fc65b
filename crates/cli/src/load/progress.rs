//! The progress line on the terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::tally::Tally;

/// Counts that a worker publishes about fifty times per second.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    live: AtomicU64,
    opened: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
}

impl Gauges {
    /// Publishes the worker's current counts.
    pub(super) fn publish(&self, tally: &Tally, live: u64) {
        self.live.store(live, Ordering::Relaxed);
        self.opened.store(tally.opened, Ordering::Relaxed);
        self.requests.store(tally.requests, Ordering::Relaxed);
        self.bytes.store(tally.bytes_sent + tally.bytes_received, Ordering::Relaxed);
        self.failed.store(tally.failed.values().sum(), Ordering::Relaxed);
    }
}

/// A thread that prints the line once per second if standard error is a terminal.
pub(super) struct Progress {
    end: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts the thread over the gauges of all workers.
    pub(super) fn start(gauges: Vec<Arc<Gauges>>) -> Self {
        let (end, ended) = channel();
        let is_terminal = std::io::stderr().is_terminal();
        let thread = is_terminal.then(|| std::thread::spawn(move || watch(&gauges, &ended)));
        Self { end, thread }
    }

    /// Stops the thread and clears the line.
    pub(super) fn finish(mut self) {
        let _ = self.end.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
            eprint!("\r\x1b[K");
        }
    }
}

fn watch(gauges: &[Arc<Gauges>], ended: &Receiver<()>) {
    let start = Instant::now();
    let mut before = [0; 3];
    while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        let sum = |field: fn(&Gauges) -> &AtomicU64| -> u64 {
            gauges.iter().map(|it| field(it).load(Ordering::Relaxed)).sum()
        };
        let now = [sum(|it| &it.opened), sum(|it| &it.requests), sum(|it| &it.bytes)];
        let rate = |index: usize| now[index].saturating_sub(before[index]);
        eprint!(
            "\r\x1b[K{:>4.0} s  {} open  {}/s opened  {} requests/s  {:.3} Gbit/s  {} failed",
            start.elapsed().as_secs_f64(),
            sum(|it| &it.live),
            rate(0),
            rate(1),
            rate(2) as f64 * 8.0 / 1e9,
            sum(|it| &it.failed),
        );
        let _ = std::io::stderr().flush();
        before = now;
    }
}
