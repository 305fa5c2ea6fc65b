//! The options of `linerate trace`, and its output as text, SVG and JSON.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::capture::{self, Captured};
use super::follow::{self, Ladder, Step};
use super::live::{self, Route};
use super::{svg, text};
use crate::failure::Failure;
use crate::network::Cidr;
use crate::options::Stack;
use crate::output;

/// Draw the ladder diagram of a TCP connection: handshake, data, half-close, teardown.
///
/// Without --read, opens a connection: a client on linerate sends a quarter of --bytes to an echo
/// server and reads the echo, then sends the rest and closes its direction, so the rest of the echo
/// arrives on a half-closed connection. Runs over a veth pair between two temporary network
/// namespaces (needs root), or from --interface and --address to --target.
#[derive(Args, Debug)]
#[command(after_help = "\
Each line is a segment: time since the first segment, state of the left end, flags, seq and ack
(relative; for SYNs also absolute), payload bytes, window in bytes, state of the right end. States
are inferred from the segments that each end sends and receives (RFC 9293 figure 5).

JSON (--json): left, right, connections (number in the capture), segments: a list of time_ns, from
(left or right), flags, seq, ack, seq_relative, ack_relative, length, window, again (retransmitted),
intact (checksum valid), left, right (states), part (section of the ladder).

Examples:
  linerate trace
  linerate trace --peer kernel --svg ladder.svg
  linerate trace --interface eth0 --address 10.0.0.9/24 --target 10.0.0.2:7
  linerate trace --read capture.pcap --connection 2 --all")]
pub(crate) struct Options {
    /// Draw a connection from this capture (pcap or pcapng, Ethernet) instead of a live one
    #[arg(long, value_name = "FILE.pcap")]
    read: Option<PathBuf>,

    /// Number of the connection in the capture, from 1
    #[arg(long, value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..))]
    connection: u32,

    /// Draw every segment, even in long runs of data
    #[arg(long)]
    all: bool,

    /// Also write the ladder to this file as SVG
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,

    /// Live: TCP stack of the server on the veth pair
    #[arg(long, value_enum, default_value = "linerate", conflicts_with_all = ["read", "target"])]
    peer: Stack,

    /// Live: echo server to connect to, instead of one over a veth pair
    #[arg(long, value_name = "ADDR:PORT", requires = "interface", conflicts_with = "read")]
    target: Option<SocketAddr>,

    /// Live: network interface of the client
    #[arg(long, value_name = "IF", requires = "address")]
    interface: Option<String>,

    /// Live: address of the client with its prefix
    #[arg(long, value_name = "CIDR", requires = "target")]
    address: Option<Cidr>,

    /// Live: bytes to send
    #[arg(long, value_name = "BYTES", default_value = "4000", conflicts_with = "read",
        value_parser = clap::value_parser!(u32).range(2..=1 << 30))]
    bytes: u32,

    /// Live: save the capture in this file
    #[arg(long, value_name = "FILE.pcap", conflicts_with = "read")]
    pcap: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Draws the ladder.
///
/// # Errors
/// Fails without a capture, or if it does not contain the connection.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let connections = captured(options)?;
    let ladder = connections
        .get(options.connection as usize - 1)
        .and_then(|segments| follow::follow(segments))
        .ok_or_else(|| {
            Failure::usage(
                format!("cannot draw connection {}", options.connection),
                format!("the capture has {} connections", connections.len()),
                format!("give --connection a number from 1 to {}", connections.len()),
            )
        })?;
    if let Some(path) = &options.svg {
        write_svg(path, &svg::draw(&ladder, options.all))?;
    }
    if options.json {
        output::print_json(&object(&ladder, connections.len()));
    } else {
        output::print(&text::draw(&ladder, options.all));
    }
    Ok(())
}

fn captured(options: &Options) -> Result<Vec<Vec<Captured>>, Failure> {
    if let Some(path) = &options.read {
        return capture::connections(path);
    }
    let save_to = options.pcap.as_deref();
    match (&options.interface, options.address, options.target) {
        (Some(interface), Some(address), Some(target)) => {
            let route = Route { interface, address, target };
            live::over_interface(&route, options.bytes, save_to)
        }
        _ => live::over_veth(options.peer, options.bytes, save_to),
    }
}

fn write_svg(path: &Path, drawing: &str) -> Result<(), Failure> {
    std::fs::write(path, drawing).map_err(|error| {
        Failure::new(
            format!("cannot write the SVG file {}", path.display()),
            error,
            "give --svg a path in an existing, writable directory",
        )
    })
}

fn object(ladder: &Ladder, connections: usize) -> Value {
    json!({
        "left": ladder.left.to_string(),
        "right": ladder.right.to_string(),
        "connections": connections,
        "segments": ladder.steps.iter().map(|it| entry(ladder, it)).collect::<Vec<_>>(),
    })
}

fn entry(ladder: &Ladder, step: &Step) -> Value {
    let segment = &step.segment;
    json!({
        "time_ns": step.since_first_ns,
        "from": if step.is_rightward { "left" } else { "right" },
        "flags": text::flags(segment.flags),
        "seq": segment.seq,
        "ack": segment.ack,
        "seq_relative": step.seq_relative,
        "ack_relative": step.ack_relative,
        "length": segment.length,
        "window": step.window,
        "again": step.is_retransmission,
        "intact": segment.is_intact,
        "left": step.left.name(),
        "right": step.right.name(),
        "part": ladder.heading(step.section),
    })
}
