//! `linerate connections`: the connections of a running stack, like `ss -ti`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use linerate::runtime::control::{Filter, Request};
use linerate::tcp::Phase;
use serde_json::{Value, json};

use super::client;
use super::text::time;
use crate::failure::Failure;
use crate::output;

/// List the connections of a running stack: state, window, round trip, retransmissions.
///
/// Queries a `linerate serve` or `load` of this user through its control socket.
#[derive(Args, Debug)]
#[command(after_help = "\
The first line of a connection shows its state, bytes received but not read (Recv-Q), bytes written
but not acknowledged (Send-Q), and both endpoints; the second line shows its congestion control,
timers and windows.

JSON (--json): connections (a list of worker, local, remote, state, congestion_control, cwnd,
ssthresh, rtt, rttvar, rtt_min, rto, retransmissions, timeouts, mss, send_window, receive_window,
send_buffer, receive_buffer, bytes_acked, bytes_received, pacing_rate, in_flight, send_queued,
receive_queued; in bytes, nanoseconds, bytes per second), shown.

Examples:
  linerate connections
  linerate connections --state ESTABLISHED --port 80 --limit 20
  linerate connections --control /run/linerate/4711.sock --json")]
pub(crate) struct Options {
    /// Control socket of the stack [default: that of the only running stack]
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// Only connections in this state, for example ESTABLISHED; repeat for several
    #[arg(long = "state", value_name = "STATE", value_parser = state)]
    states: Vec<String>,

    /// Only connections with this port at either end
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Show at most this many connections
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Parses a state by its name in RFC 9293 §3.3.2, in upper or lower case. A connection in CLOSED is
/// never listed.
fn state(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase().replace('_', "-");
    let states: Vec<_> =
        Phase::ALL.iter().filter(|it| **it != Phase::Closed).map(|it| it.name()).collect();
    if states.contains(&&*name) {
        return Ok(name);
    }
    Err(format!("the states are {}", states.join(", ")))
}

/// Requests the connections and prints them.
///
/// # Errors
/// Fails if no stack responds.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let path = client::find(options.control.as_deref())?;
    let (states, port, limit) = (options.states.clone(), options.port, options.limit);
    let request = Request::Connections(Filter { states, port, limit });
    let mut rows = Vec::new();
    let mut is_complete = false;
    client::send(&path, &request, |value| match value.get("end") {
        Some(_) => is_complete = true,
        None => rows.push(value),
    })?;
    if !is_complete {
        return Err(Failure::new(
            format!("cannot read all connections from {}", path.display()),
            "the stack stopped before the end of its response",
            "try again, or check that it is still running",
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
        // Writing to a string cannot fail.
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
    fn states_are_parsed_in_either_case_and_unknown_ones_are_rejected() {
        assert_eq!(state("fin_wait-1").as_deref(), Ok("FIN-WAIT-1"));
        assert!(state("OPEN").is_err_and(|error| error.contains("ESTABLISHED")));
        assert!(state("CLOSED").is_err());
    }

    #[test]
    fn a_connection_takes_two_lines_and_one_in_time_wait_takes_one() {
        let open = json!({
            "state": "ESTABLISHED", "local": "10.0.0.1:7", "remote": "10.0.0.2:40000",
            "receive_queued": 1, "send_queued": 2, "mss": 1448, "cwnd": 14480, "rtt": 52_000,
            "congestion_control": "cubic",
        });
        let time_wait = json!({
            "state": "TIME-WAIT", "local": "10.0.0.1:7", "remote": "10.0.0.2:40001",
            "receive_queued": 0, "send_queued": 0, "mss": 0,
        });
        let text = table(&[open, time_wait]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].starts_with("ESTABLISHED") && lines[1].contains("10.0.0.2:40000"));
        assert!(lines[2].contains("cwnd:14480") && lines[2].contains("rtt:52.0 µs"), "{text}");
        assert!(lines[3].starts_with("TIME-WAIT"));
    }
}
