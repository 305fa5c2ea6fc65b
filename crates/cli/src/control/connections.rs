//! `linerate connections`: the connections of a running stack, like `ss -ti`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::client;
use super::question::{Filter, Question};
use super::text::time;
use crate::failure::Failure;
use crate::output;

/// Tell the connections of a running stack: state, window, round trip, retransmissions.
///
/// Asks a `linerate serve` or `load` of this user through its control socket.
#[derive(Args, Debug)]
#[command(after_help = "\
Bytes received and not read, bytes written and not acknowledged, both ends; then, on a line of its own, what TCP
knows of the path.

JSON (--json): connections (a list of worker, local, remote, state, congestion_control, cwnd, ssthresh, rtt, rttvar,
rtt_min, rto, retransmissions, timeouts, mss, send_window, receive_window, send_buffer, receive_buffer, bytes_acked,
bytes_received, pacing_rate, in_flight, send_queued, receive_queued; bytes, nanoseconds, bytes a second), shown.

Examples:
  linerate connections
  linerate connections --state ESTABLISHED --port 80 --limit 20
  linerate connections --control /run/linerate/4711.sock --json")]
pub struct Options {
    /// The stack's control socket [default: that of the only stack that runs]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Only connections in this state, for example ESTABLISHED; repeat for several
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    states: Vec<String>,

    /// Only connections with this port at either end
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// The names of RFC 9293 §3.3.2, in either case.
const STATES: [&str; 9] = [
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
];

fn state(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase().replace('_', "-");
    if STATES.contains(&&*name) {
        return Ok(name);
    }
    Err(format!("no such state; there are {}", STATES.join(", ")))
}

/// Asks and prints.
///
/// # Errors
/// When no stack answers.
pub fn run(options: &Options) -> Result<(), Failure> {
    let path = client::find(options.control.as_deref())?;
    let (states, port, limit) = (options.states.clone(), options.port, options.limit);
    let question = Question::Connections(Filter { states, port, limit });
    let mut rows = Vec::new();
    let mut whole = false;
    client::ask(&path, &question, |value| match value.get("end") {
        Some(_) => whole = true,
        None => rows.push(value),
    })?;
    if !whole {
        return Err(Failure::new(
            format!("cannot read all that {} tells", path.display()),
            "the stack ended meanwhile",
            "ask again",
        ));
    }
    if options.json {
        output::print_json(&json!({ "shown": rows.len(), "connections": rows }));
        return Ok(());
    }
    output::print(&table(&rows));
    Ok(())
}

fn table(rows: &[Value]) -> String {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let width = |key: &str, title: usize| {
        rows.iter().map(|row| text(row, key).len()).max().unwrap_or(0).max(title)
    };
    let (local, remote) = (width("local", 5), width("remote", 6));
    let mut out = format!(
        "{:<12} {:>8} {:>8} {:<local$} {:<remote$}\n",
        "State", "Recv-Q", "Send-Q", "Local", "Remote"
    );
    for row in rows {
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{:<12} {:>8} {:>8} {:<local$} {:<remote$}",
            text(row, "state"),
            row["receive_queued"],
            row["send_queued"],
            text(row, "local"),
            text(row, "remote"),
        );
        if row["mss"] != 0 {
            let _ = writeln!(out, "    {}", details(row));
        }
    }
    out
}

fn details(row: &Value) -> String {
    let span = |key: &str| time(row[key].as_u64().unwrap_or(0));
    let mut parts = vec![
        row["congestion_control"].as_str().unwrap_or("-").to_owned(),
        format!("cwnd:{}", row["cwnd"]),
    ];
    if let Some(ssthresh) = row["ssthresh"].as_u64() {
        parts.push(format!("ssthresh:{ssthresh}"));
    }
    parts.push(format!("rtt:{} ±{}", span("rtt"), span("rttvar")));
    parts.push(format!("rto:{}", span("rto")));
    for (name, key) in [
        ("mss", "mss"),
        ("retrans", "retransmissions"),
        ("timeouts", "timeouts"),
        ("in-flight", "in_flight"),
        ("snd-wnd", "send_window"),
        ("rcv-wnd", "receive_window"),
        ("acked", "bytes_acked"),
        ("received", "bytes_received"),
    ] {
        parts.push(format!("{name}:{}", row[key]));
    }
    if let Some(rate) = row["pacing_rate"].as_u64() {
        parts.push(format!("pacing:{:.1} Mbit/s", rate as f64 * 8.0 / 1e6));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_known_in_either_case_and_others_are_refused() {
        assert_eq!(state("fin_wait-1").as_deref(), Ok("FIN-WAIT-1"));
        assert!(state("OPEN").is_err_and(|said| said.contains("ESTABLISHED")));
    }

    #[test]
    fn a_connection_takes_two_lines_and_one_without_state_takes_one() {
        let open = json!({ "state": "ESTABLISHED", "local": "10.0.0.1:7", "remote": "10.0.0.2:40000",
            "receive_queued": 1, "send_queued": 2, "mss": 1448, "cwnd": 14480, "rtt": 52_000,
            "congestion_control": "cubic" });
        let over = json!({ "state": "TIME-WAIT", "local": "10.0.0.1:7", "remote": "10.0.0.2:40001",
            "receive_queued": 0, "send_queued": 0, "mss": 0 });
        let text = table(&[open, over]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].starts_with("ESTABLISHED") && lines[1].contains("10.0.0.2:40000"));
        assert!(lines[2].contains("cwnd:14480") && lines[2].contains("rtt:52.0 µs"), "{text}");
        assert!(lines[3].starts_with("TIME-WAIT"));
    }
}
