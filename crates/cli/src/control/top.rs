//! `linerate top`: live statistics of a running stack.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use linerate::runtime::control::{Request, Snapshot};
use serde_json::Value;

use super::client;
use super::rates::figures;
use super::text::{rate, time};
use crate::failure::Failure;
use crate::output;
use crate::stop::Stop;

/// Show live statistics of a running stack: rates, drops by reason, latencies, load per worker.
///
/// Queries a `linerate serve` or `load` of this user through its control socket, until SIGINT.
#[derive(Args, Debug)]
#[command(after_help = "\
`turn` is the duration of turns that had work to do: an upper bound for how long a frame waits for
its reply. `handshake` is the time from our SYN or SYN-ACK to its acknowledgment. `wait` is the time
that frames waited between the driver and the worker's turn (only with --rx-timestamps on serve or
load).

JSON (--json): pid, interface, uptime_seconds, seconds (the interval), connections, time_waits,
events, drops and link (each an object: name to {total, per_second}), turn, handshake and wait (each
null, or count p50 p90 p99 p999 max mean in nanoseconds, of the interval), workers (a list of queue,
connections, time_waits, events, link).

Examples:
  linerate top
  linerate top --interval 5 --count 3
  linerate top --control /run/linerate/4711.sock --json")]
pub(crate) struct Options {
    /// Control socket of the stack [default: that of the only running stack]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Seconds between updates
    #[arg(long, value_name = "S", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,

    /// Exit after this many updates [default: run until SIGINT]
    #[arg(long, value_name = "N", conflicts_with = "json",
        value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Measure one interval and print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Takes snapshots and prints the rates between them.
///
/// # Errors
/// Fails if no stack responds.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let path = client::find(options.control.as_deref())?;
    let stop = Stop::on_signals()?;
    let updates = if options.json { 1 } else { options.count.unwrap_or(u64::MAX) };
    let clears = std::io::stdout().is_terminal() && updates > 1;
    let mut before = snapshot(&path)?;
    for _ in 0..updates {
        wait(Duration::from_secs(u64::from(options.interval)), &stop);
        if stop.is_raised() && !options.json {
            break;
        }
        let now = snapshot(&path)?;
        let figures = figures(&now, &before);
        if options.json {
            output::print_json(&figures);
        } else {
            let clear = if clears { "\x1b[H\x1b[2J" } else { "" };
            output::print(&format!("{clear}{}\n", screen(&figures)));
        }
        before = now;
    }
    Ok(())
}

fn wait(span: Duration, stop: &Stop) {
    let until = Instant::now() + span;
    while !stop.is_raised() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
}

fn snapshot(path: &Path) -> Result<Snapshot, Failure> {
    let mut response = None;
    client::send(path, &Request::Figures, |value| response = Some(value))?;
    let invalid = |error: &dyn std::fmt::Display| {
        Failure::new(
            format!("cannot read the statistics from {}", path.display()),
            error,
            "use the same version of linerate as the running stack",
        )
    };
    let response = response.ok_or_else(|| invalid(&"the response is empty"))?;
    serde_json::from_value(response).map_err(|error| invalid(&error))
}

/// Formats one screen. Leaves out counters that are zero.
fn screen(figures: &Value) -> String {
    let mut out = format!(
        "linerate {} on {}, up {:.0} s: {} connections, {} in TIME-WAIT\n",
        figures["pid"],
        figures["interface"].as_str().unwrap_or("-"),
        figures["uptime_seconds"].as_f64().unwrap_or(0.0),
        figures["connections"],
        figures["time_waits"],
    );
    for (title, key) in [("", "events"), ("dropped", "drops")] {
        let Some(entries) = figures[key].as_object() else { continue };
        let mut heading = true;
        for (name, entry) in entries.iter().filter(|(_, entry)| entry["total"] != 0) {
            if std::mem::take(&mut heading) {
                let _ = writeln!(out, "\n{title:<24} {:>12} {:>14}", "per second", "total");
            }
            let per_second = rate(entry["per_second"].as_f64().unwrap_or(0.0));
            let _ = writeln!(out, "{name:<24} {per_second:>12} {:>14}", entry["total"]);
        }
    }
    out.push_str(&latencies(figures));
    out.push_str(&workers(figures));
    out
}

fn latencies(figures: &Value) -> String {
    let mut out = format!(
        "\n{:<12} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
        "", "count", "p50", "p99", "p99.9", "max"
    );
    for name in ["turn", "handshake", "wait"] {
        let latency = &figures[name];
        if name == "wait" && latency.is_null() {
            continue;
        }
        let at = |key: &str| latency[key].as_u64().map_or_else(|| "-".to_owned(), time);
        let count = latency["count"].as_u64().unwrap_or(0);
        let [p50, p99, p999, max] = ["p50", "p99", "p999", "max"].map(at);
        let _ = writeln!(out, "{name:<12} {count:>10} {p50:>10} {p99:>10} {p999:>10} {max:>10}");
    }
    out
}

fn workers(figures: &Value) -> String {
    let mut out = format!(
        "\n{:<8} {:>12} {:>12} {:>12} {:>12} {:>12}\n",
        "queue", "connections", "frames in", "frames out", "bit/s in", "bit/s out"
    );
    for worker in figures["workers"].as_array().into_iter().flatten() {
        let link = |name: &str| worker["link"][name]["per_second"].as_f64().unwrap_or(0.0);
        let _ = writeln!(
            out,
            "{:<8} {:>12} {:>12} {:>12} {:>12} {:>12}",
            worker["queue"],
            worker["connections"],
            rate(link("rx_frames")),
            rate(link("tx_frames")),
            rate(8.0 * link("rx_bytes")),
            rate(8.0 * link("tx_bytes")),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_screen_leaves_out_counters_that_are_zero() {
        let both = |total: u64, rate: f64| json!({ "total": total, "per_second": rate });
        let text = screen(&json!({
            "pid": 7, "interface": "eth0", "uptime_seconds": 3.2,
            "connections": 12, "time_waits": 3,
            "events": { "segments-in": both(900_000, 203_000.0), "resets-in": both(0, 0.0) },
            "drops": { "out-of-window": both(4, 0.0) },
            "turn": { "count": 9, "p50": 1200, "p99": 3400, "p999": 5000, "max": 9000 },
            "handshake": null,
            "wait": { "count": 5, "p50": 700, "p99": 800, "p999": 2500, "max": 2600 },
            "workers": [{ "queue": 1, "connections": 12,
                "link": { "rx_frames": both(1, 50_000.0), "tx_bytes": both(1, 1e6) } }],
        }));
        assert!(text.contains("12 connections") && text.contains("203.0 k"), "{text}");
        assert!(text.contains("out-of-window") && !text.contains("resets-in"), "{text}");
        assert!(text.contains("3.4 µs") && text.contains("8.00 M"), "{text}");
        assert!(text.contains("wait") && text.contains("2.5 µs"), "{text}");
        assert!(text.contains("per second") && text.contains("total"), "{text}");
    }
}
