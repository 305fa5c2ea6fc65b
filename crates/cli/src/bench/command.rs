//! The options of `linerate bench`, and its run from beginning to end.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::ceiling::Task;
use super::folder::Folder;
use super::lab::Napi;
use super::suite::Suite;
use super::trial::Conditions;
use super::workload::Workload;
use super::{outcome, table};
use crate::failure::Failure;
use crate::load::Pattern;
use crate::network::{self, Numbers};
use crate::options::Idle;
use crate::output;
use crate::stop::Stop;

/// Measure this stack beside the kernel's and beside the raw AF_XDP ceiling, over veth pairs of its own.
///
/// Needs root, two cores, iproute2 and ethtool. Touches nothing of the host's network: all happens in
/// namespaces without a name, which are gone when it ends, however it ends.
#[derive(Args, Debug)]
#[command(after_help = "\
Each time, in turn: the ceiling (raw echo of 64-byte frames by batch, and a stateless exchange of the seven
segments of a connection), linerate, the kernel. Each run is `linerate serve` in one namespace and `linerate
load` in the other, over a veth pair made for it; ratios are taken pair by pair.

JSON (--json): ceiling (echo: a list by batch of round_trips_per_second and latency; connections_per_second
of the exchange; spread, lost, drops), patterns (by name: linerate and kernel, each the JSON of `load` of the
median run with packets and device_drops, and runs, all of them; ratio_to_kernel, share_of_ceiling, spreads;
request has single, the same of one connection), settings, seconds.

Examples:
  linerate bench
  linerate bench --patterns connect --runs 9 --duration 3 --report report
  linerate bench --napi threaded --json > bench.json")]
pub struct Options {
    /// What to measure: connect, request, stream, idle
    #[arg(long, value_enum, value_delimiter = ',', default_value = "connect,request")]
    patterns: Vec<Pattern>,

    /// Times that each is run on each stack
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,

    /// Seconds to measure in each run
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = network::seconds)]
    duration: Duration,

    /// Connections at once [default: connect and idle 64, request 16, stream 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    concurrency: Option<u64>,

    /// request: bytes of a request and of its answer; units k, M
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = network::bytes)]
    request_bytes: u64,

    /// CPU cores of the server and of the client
    #[arg(long, value_name = "LIST", default_value = "0,1")]
    cores: Numbers,

    /// What idle workers do, on both stacks
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,

    /// How the veth pair delivers frames, to both stacks: as the kernel makes it, or by a thread on the
    /// other core than the end it receives for
    #[arg(long, value_enum, default_value = "inline")]
    napi: Napi,

    /// connect: the client closes in the turn that it opened, so that linerate joins its FIN with the
    /// handshake's ACK (see `load --join-fin`)
    #[arg(long)]
    join_fin: bool,

    /// Leave report.json, the .hgrm histograms and what both ends said (.log) of all runs in this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Measures and reports.
///
/// # Errors
/// When the options make no sense, the host lacks something, a run fails as a whole, or a signal comes.
pub fn run(options: &Options) -> Result<(), Failure> {
    let cores = cores(options)?;
    let stop = Stop::on_signals()?;
    let folder = Folder::new(options.report.as_deref())?;
    let results = suite(options, cores, &folder).run(&stop)?;
    let report = outcome::json(&results, &settings(options));
    if options.report.is_some() {
        folder.write("report.json", &format!("{report:#}\n"))?;
    }
    if options.json {
        output::print_json(&report);
    } else {
        output::print(&table::text(&results));
    }
    Ok(())
}

fn cores(options: &Options) -> Result<[usize; 2], Failure> {
    let tried = "cannot measure on these cores";
    let &[server, client] = options.cores.0.as_slice() else {
        let wrong = format!("{} cores for two ends", options.cores.0.len());
        return Err(Failure::usage(tried, wrong, "give two with --cores, as in 0,1"));
    };
    let there = core_affinity::get_core_ids().unwrap_or_default();
    match [server, client].iter().find(|core| there.iter().all(|it| it.id != **core as usize)) {
        Some(core) => {
            let wrong = format!("this process may not use core {core}");
            Err(Failure::usage(
                tried,
                wrong,
                "give two that it may with --cores (`nproc`, `taskset -p $$`)",
            ))
        }
        None => Ok([server as usize, client as usize]),
    }
}

fn suite<'a>(options: &Options, cores: [usize; 2], folder: &'a Folder) -> Suite<'a> {
    let mut patterns = options.patterns.clone();
    let mut seen = Vec::new();
    patterns.retain(|pattern| {
        !seen.contains(pattern) && {
            seen.push(*pattern);
            true
        }
    });
    let span = |most_ms: u64, part: u32| {
        (options.duration / part).clamp(Duration::from_millis(20), Duration::from_millis(most_ms))
    };
    Suite {
        folder,
        workloads: patterns
            .iter()
            .flat_map(|pattern| Workload::of(*pattern, options.concurrency))
            .collect(),
        runs: usize::from(options.runs),
        conditions: Conditions {
            cores,
            napi: options.napi,
            idle: match options.idle {
                Idle::Spin => "spin",
                Idle::Adaptive => "adaptive",
                Idle::Sleep => "sleep",
            },
            duration: options.duration,
            request_bytes: options.request_bytes,
            join_fin: options.join_fin,
            folder: folder.path().to_owned(),
        },
        task: Task {
            cores,
            napi: options.napi,
            // More in flight than the device's ring holds would measure its losses.
            concurrency: options.concurrency.unwrap_or(64).min(128) as u16,
            echo_span: span(250, 8).into(),
            exchange_span: span(1000, 2).into(),
        },
    }
}

fn settings(options: &Options) -> serde_json::Value {
    json!({
        "runs": options.runs,
        "duration": options.duration.as_secs_f64(),
        "cores": options.cores.0,
        "napi": options.napi,
        "request_bytes": options.request_bytes,
        "join_fin": options.join_fin,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    })
}
