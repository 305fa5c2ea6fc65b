//! The memory of idle connections: with callbacks, with a stream each, with a task each.
//!
//! The clients' state and the frames are in memory before the stack begins, so that all memory that
//! becomes resident is the stack's and the program's.

use std::process::Command;

use serde_json::json;

use super::report::{self, Options, Stack, Workload};
use super::{Bench, server};

/// The stages of the measurement, and what each adds to the one before.
const STAGES: [(Stack, &str); 3] = [
    (Stack::Linerate, "the shard"),
    (Stack::Streams, "a stream, and its slot"),
    (Stack::Tasks, "a task that waits for data"),
];

/// Measures in a process of its own for each stage and number of connections.
pub(crate) fn run(options: &Options) {
    let workloads = options.workloads();
    if options.alone {
        return println!("{}", measure(workloads[0]));
    }
    let mut rows = Vec::new();
    for workload in workloads.iter().filter(|workload| workload.stack == Stack::Linerate) {
        let mut before = 0.0;
        for (stack, what) in STAGES {
            let bytes = in_a_process_of_its_own(Workload { stack, ..*workload });
            if !options.json {
                let (connections, added) = (workload.concurrency, bytes - before);
                println!(
                    "{connections:>9} connections: {bytes:>6.1} bytes each, {added:+6.1} {what}"
                );
            }
            rows.push(json!({
                "stack": stack.name(),
                "workload": "idle",
                "concurrency": workload.concurrency,
                "bytes_per_connection": bytes,
                "added_bytes_per_connection": bytes - before,
            }));
            before = bytes;
        }
    }
    let future = server::future_bytes();
    if options.json {
        println!("{:#}", json!({ "workloads": rows, "future_bytes": future }));
    } else {
        println!("of a task, the program's own future takes {future} bytes");
    }
}

/// Opens all connections. Returns the resident bytes per connection.
fn measure(workload: Workload) -> f64 {
    let Workload { stack, concurrency, batch, .. } = workload;
    let mut before = 0;
    let mut bench = Bench::new(concurrency, batch, || {
        before = report::resident_bytes();
        super::server(stack, concurrency, batch)
    });
    bench.fill();
    let resident = report::resident_bytes().saturating_sub(before);
    assert_eq!(bench.clients.complaints(), 0, "an answer was not the one expected");
    resident as f64 / concurrency as f64
}

fn in_a_process_of_its_own(workload: Workload) -> f64 {
    let program = std::env::current_exe().expect("a program has a path");
    let numbers = [workload.concurrency, workload.batch].map(|n| n.to_string());
    let output = Command::new(program)
        .args(["--alone", "--idle", "--stack", workload.stack.name()])
        .args(["--concurrency", &numbers[0], "--batch", &numbers[1]])
        .output()
        .expect("the program starts again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        panic!("the workload failed");
    })
}
