//! Options and report.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// Frames of one open and close: those the server receives, and those it sends.
const FRAMES_IN: f64 = 4.0;
const FRAMES_OUT: f64 = 2.0;

/// A minimum-size frame on 10 Gbit/s: 84 bytes with preamble and gap (IEEE 802.3), in nanoseconds.
const FRAME_NS_AT_10G: f64 = 67.2;

/// The measured stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stack {
    /// linerate with callbacks.
    Linerate,
    /// linerate with an async program, a task per connection.
    Tasks,
    /// linerate with an async program that keeps the streams and has one task.
    Streams,
    Smoltcp,
}

impl Stack {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Linerate => "linerate",
            Self::Tasks => "tasks",
            Self::Streams => "streams",
            Self::Smoltcp => "smoltcp",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let stacks = [Self::Linerate, Self::Tasks, Self::Streams, Self::Smoltcp];
        stacks.into_iter().find(|stack| stack.name() == name)
    }
}

/// One run.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub stack: Stack,
    /// Connections held open.
    pub concurrency: usize,
    /// Frames per batch.
    pub batch: usize,
    /// Connections measured.
    pub connections: usize,
}

/// Default concurrency for a stack that offers each packet to every socket: more would take
/// minutes.
const PEER_CONCURRENCY: [usize; 2] = [1_000, 10_000];
const PEER_BATCH: usize = 64;
const PEER_CONNECTIONS: usize = 4_000;

pub(crate) struct Options {
    pub json: bool,
    /// Measures in this process. Otherwise each workload runs in a process of its own, since memory
    /// that one leaves in the allocator would be missing from the figure of the next.
    pub alone: bool,
    /// Measures the memory of idle connections.
    pub idle: bool,
    /// One stack only.
    stack: Option<Stack>,
    concurrency: Vec<usize>,
    batch: Vec<usize>,
    /// Connections measured in each workload.
    connections: usize,
}

impl Options {
    pub(crate) fn from_arguments() -> Self {
        let mut options = Self {
            json: false,
            alone: false,
            idle: false,
            stack: None,
            concurrency: vec![1_000, 100_000, 1_000_000],
            batch: vec![1, 16, 64, 256],
            connections: 400_000,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => options.json = true,
                "--alone" => options.alone = true,
                "--idle" => {
                    options.idle = true;
                    options.concurrency = vec![1_000_000];
                    options.batch = vec![64];
                }
                "--quick" if options.idle => options.concurrency = vec![100_000],
                "--quick" => {
                    options.concurrency = vec![1_000, 100_000];
                    options.connections = 100_000;
                }
                "--stack" => {
                    let name = arguments.next().unwrap_or_default();
                    options.stack = Some(Stack::named(&name).unwrap_or_else(|| usage(&name)));
                }
                "--concurrency" => options.concurrency = numbers(arguments.next()),
                "--batch" => options.batch = numbers(arguments.next()),
                "--connections" => options.connections = numbers(arguments.next())[0],
                // Arguments that `cargo bench` and `cargo test --benches` add.
                "--bench" | "--test" => {}
                other => usage(other),
            }
        }
        options
    }

    /// Returns the workloads: the requested ones on one stack, or those of linerate and of its
    /// peers.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let stack = self.stack.unwrap_or(Stack::Linerate);
        let mut workloads = Vec::new();
        for &concurrency in &self.concurrency {
            for &batch in &self.batch {
                let connections = self.connections;
                workloads.push(Workload { stack, concurrency, batch, connections });
            }
        }
        if self.stack.is_none() && !self.alone {
            workloads.extend(PEER_CONCURRENCY.map(|concurrency| Workload {
                stack: Stack::Smoltcp,
                concurrency,
                batch: PEER_BATCH,
                connections: PEER_CONNECTIONS,
            }));
        }
        workloads
    }
}

fn numbers(text: Option<String>) -> Vec<usize> {
    let text = text.unwrap_or_default();
    let parsed: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
    parsed.ok().filter(|list| list.iter().all(|n| *n > 0)).unwrap_or_else(|| usage(&text))
}

fn usage(wrong: &str) -> ! {
    eprintln!("line_rate: did not understand `{wrong}`");
    eprintln!(
        "usage: line_rate [--json] [--quick] [--concurrency N,..] [--batch N,..] [--connections N] \
         [--stack linerate|tasks|streams|smoltcp]\n       line_rate --idle [--json] [--quick] \
         [--concurrency N]"
    );
    std::process::exit(2);
}

/// The result of one workload.
pub(crate) struct Measured {
    pub workload: Workload,
    /// Nanoseconds per open and close, the median round.
    pub ns_per_connection: f64,
    /// The same, the round at the tenth percentile.
    pub ns_per_connection_best: f64,
    /// Nanoseconds per open while the tables fill: first use of all memory.
    pub ns_per_open: f64,
    /// Resident bytes per connection.
    pub bytes_per_connection: f64,
}

impl Measured {
    fn ns_per_packet(&self) -> f64 {
        self.ns_per_connection / (FRAMES_IN + FRAMES_OUT)
    }

    fn connections_per_second(&self) -> f64 {
        1e9 / self.ns_per_connection
    }

    fn to_json(&self) -> Value {
        json!({
            "stack": self.workload.stack.name(),
            "workload": "open_close",
            "concurrency": self.workload.concurrency,
            "batch": self.workload.batch,
            "ns_per_connection": self.ns_per_connection,
            "ns_per_connection_best": self.ns_per_connection_best,
            "ns_per_open_when_filling": self.ns_per_open,
            "ns_per_packet": self.ns_per_packet(),
            "connections_per_second": self.connections_per_second(),
            "packets_per_second": 1e9 / self.ns_per_packet(),
            "bytes_per_connection": self.bytes_per_connection,
        })
    }
}

/// Measures one workload in a child process.
pub(crate) fn in_a_process_of_its_own(workload: Workload) -> Measured {
    let program = std::env::current_exe().expect("a program has a path");
    let Workload { stack, concurrency, batch, connections } = workload;
    let numbers = [concurrency, batch, connections].map(|n| n.to_string());
    let output = Command::new(program)
        .args(["--json", "--alone", "--stack", stack.name(), "--concurrency", &numbers[0]])
        .args(["--batch", &numbers[1], "--connections", &numbers[2]])
        .output()
        .expect("the program starts again");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        panic!("the workload failed: {error}");
    });
    let number = |name: &str| report["workloads"][0][name].as_f64().unwrap_or(f64::NAN);
    Measured {
        workload,
        ns_per_connection: number("ns_per_connection"),
        ns_per_connection_best: number("ns_per_connection_best"),
        ns_per_open: number("ns_per_open_when_filling"),
        bytes_per_connection: number("bytes_per_connection"),
    }
}

pub(crate) struct Report {
    json: bool,
    workloads: Vec<Value>,
    peers: Vec<Value>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        if !json {
            println!("one core: open and close of a connection, 4 frames in, 2 out");
            println!(
                "{:<9} {:>11} {:>6} {:>10} {:>8} {:>10} {:>12} {:>8} {:>9}",
                "stack",
                "concurrent",
                "batch",
                "ns/conn",
                "best",
                "ns/packet",
                "conn/s",
                "Mpps",
                "bytes"
            );
        }
        Self { json, workloads: Vec::new(), peers: Vec::new() }
    }

    pub(crate) fn add(&mut self, measured: Measured) {
        if !self.json {
            println!(
                "{:<9} {:>11} {:>6} {:>10.1} {:>8.1} {:>10.1} {:>12.0} {:>8.2} {:>9.0}",
                measured.workload.stack.name(),
                measured.workload.concurrency,
                measured.workload.batch,
                measured.ns_per_connection,
                measured.ns_per_connection_best,
                measured.ns_per_packet(),
                measured.connections_per_second(),
                1e3 / measured.ns_per_packet(),
                measured.bytes_per_connection,
            );
        }
        // A stack measured alone is not its own peer.
        let alone = self.workloads.is_empty() || measured.workload.stack == Stack::Linerate;
        let list = if alone { &mut self.workloads } else { &mut self.peers };
        list.push(measured.to_json());
    }

    pub(crate) fn end(self) {
        let rates: Vec<Value> = [10.0, 25.0, 40.0, 100.0]
            .iter()
            .map(|gigabits| {
                let frame_ns = FRAME_NS_AT_10G * 10.0 / gigabits;
                json!({
                    "gigabits": gigabits,
                    "frames_per_second": 1e9 / frame_ns,
                    "ns_per_connection": frame_ns * FRAMES_IN,
                })
            })
            .collect();
        if self.json {
            let report = json!({
                "workloads": self.workloads,
                "peers": self.peers,
                "line_rates": rates,
            });
            println!("{report:#}");
            return;
        }
        println!("\nline rate, minimum-size frames in:");
        for rate in rates {
            println!(
                "{:>6} Gbit/s: {:>6.2} Mpps, {:>6.1} ns a connection",
                rate["gigabits"],
                rate["frames_per_second"].as_f64().unwrap_or_default() / 1e6,
                rate["ns_per_connection"].as_f64().unwrap_or_default(),
            );
        }
    }
}

/// Returns the resident memory of this process, bytes.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}
