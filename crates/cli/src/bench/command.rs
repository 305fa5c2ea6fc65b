//! Options of `linerate bench`, and the whole run.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::ceiling::CeilingConfig;
use super::folder::Folder;
use super::suite::Suite;
use super::testbed::Napi;
use super::trial::Conditions;
use super::workload::Workload;
use super::{report, table};
use crate::failure::Failure;
use crate::load::Pattern;
use crate::network::{self, Numbers};
use crate::options::Idle;
use crate::output;
use crate::stop::Stop;

/// Connections of the pattern hyper.
const HYPER_CONNECTIONS: u64 = 16;

/// Length of a measurement with `--quick`.
const QUICK: Duration = Duration::from_millis(500);

/// Benchmark linerate against the kernel's stack and the raw AF_XDP ceiling, over private veth
/// pairs.
///
/// Needs root, two cores, iproute2 and ethtool. Does not touch the host's network: everything runs
/// in unnamed namespaces, which disappear when the benchmark ends, even if it is killed.
#[derive(Args, Debug)]
#[command(after_help = "\
A round measures, in turn: the ceiling (raw echo of 64-byte frames by batch size, and a stateless
exchange of the seven segments of a connection), linerate, the kernel. A run is `linerate serve` in
one namespace and `linerate load` in the other, over a new veth pair. Ratios compare the two runs of
a round.

The pattern hyper compares servers of HTTP that send the same response of 89 bytes on persistent
connections: hyper on linerate, hyper on tokio (one thread) over kernel sockets, and callbacks on
linerate without a parser. A round measures the three in turn: first all rounds with `linerate load`
on AF_XDP as the client, then all with wrk (one thread, kernel sockets) if it is installed. tokio
sleeps when it has nothing to do, whatever --idle says.

JSON (--json): ceiling (echo: a list by batch size of round_trips_per_second and latency;
connections_per_second of the exchange; spread, lost, drops), patterns (by name: linerate and
kernel, each the JSON of `load` of the median run, with device_drops and, for connect,
segments_per_connection, and runs, a list of all; ratio_to_kernel, share_of_ceiling, spreads;
request has single, the same for one connection), settings, seconds; with the pattern hyper:
hyper (concurrency, response_bytes; load and wrk, null if not installed, each by server, linerate,
tokio and callbacks: requests_per_second, p50 and p99 in nanoseconds, failed and dropped of the
median run, ratio_to_tokio, spreads, and runs, a list of all).

Examples:
  linerate bench
  linerate bench --patterns hyper --quick
  linerate bench --patterns connect --runs 9 --duration 3 --report report
  linerate bench --napi threaded --json > bench.json")]
pub(crate) struct Options {
    /// Load patterns to measure: connect, request, stream, idle, hyper
    #[arg(long, value_enum, value_delimiter = ',', default_value = "connect,request")]
    patterns: Vec<Measured>,

    /// One run of each pattern on each stack, of half a second (wrk: a second)
    #[arg(long, conflicts_with_all = ["runs", "duration"])]
    quick: bool,

    /// Runs of each pattern on each stack
    #[arg(
        long,
        value_name = "N",
        default_value = "5",
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    runs: u16,

    /// Seconds to measure in each run
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = network::seconds)]
    duration: Duration,

    /// Concurrent connections [default: connect and idle 64, request and hyper 16, stream
    /// 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    concurrency: Option<u64>,

    /// request: size of a request and of its response; units k, M
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = network::bytes)]
    request_bytes: u64,

    /// CPU cores of the server and the client
    #[arg(long, value_name = "LIST", default_value = "0,1")]
    cores: Numbers,

    /// Idle policy of the workers, on both stacks
    #[arg(long, value_enum, default_value = "spin")]
    idle: Idle,

    /// Delivery mode of the veth pair, for both stacks: inline in the sender's system call (the
    /// default of veth), or in NAPI threads, each on the core of the sending end
    #[arg(long, value_enum, default_value = "inline")]
    napi: Napi,

    /// connect: the client closes in the same turn that the connection opens, so that linerate
    /// sends its FIN with the last ACK of the handshake (see `load --join-fin`)
    #[arg(long)]
    join_fin: bool,

    /// Write report.json, and the histograms (.hgrm) and standard error (.log) of all runs, to this
    /// directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// A pattern of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measured {
    /// Open and close connections in a loop.
    Connect,
    /// Request and response on persistent connections (echo).
    Request,
    /// Bulk transfer in one direction.
    Stream,
    /// Open many connections and hold them idle.
    Idle,
    /// HTTP: hyper on linerate, hyper on tokio over kernel sockets, and callbacks.
    Hyper,
}

impl Measured {
    /// Returns the load pattern; none if both stacks do not run the same service.
    const fn pattern(self) -> Option<Pattern> {
        match self {
            Self::Connect => Some(Pattern::Connect),
            Self::Request => Some(Pattern::Request),
            Self::Stream => Some(Pattern::Stream),
            Self::Idle => Some(Pattern::Idle),
            Self::Hyper => None,
        }
    }
}

impl Options {
    /// Returns the runs of each pattern.
    fn runs(&self) -> u16 {
        if self.quick { 1 } else { self.runs }
    }

    /// Returns the length of each measurement.
    fn duration(&self) -> Duration {
        if self.quick { QUICK } else { self.duration }
    }
}

/// Runs the benchmark and prints the report.
///
/// # Errors
/// When the options are invalid, the host lacks a requirement, a run fails, or a signal arrives.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let cores = cores(options)?;
    let stop = Stop::on_signals()?;
    let folder = Folder::new(options.report.as_deref())?;
    let results = suite(options, cores, &folder).run(&stop)?;
    let report = report::json(&results, &settings(options));
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
    let tried = "cannot benchmark on these cores";
    let &[server, client] = options.cores.0.as_slice() else {
        let wrong = format!("need 2 cores, got {}", options.cores.0.len());
        return Err(Failure::usage(tried, wrong, "give two cores, as in --cores 0,1"));
    };
    let available = core_affinity::get_core_ids().unwrap_or_default();
    match [server, client].iter().find(|core| available.iter().all(|it| it.id != **core as usize)) {
        Some(core) => {
            let wrong = format!("this process may not use core {core}");
            Err(Failure::usage(
                tried,
                wrong,
                "give --cores from its affinity mask (`taskset -cp $$`)",
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
        (options.duration() / part).clamp(Duration::from_millis(20), Duration::from_millis(most_ms))
    };
    Suite {
        folder,
        workloads: patterns
            .iter()
            .filter_map(|measured| measured.pattern())
            .flat_map(|pattern| Workload::of(pattern, options.concurrency))
            .collect(),
        hyper: patterns
            .contains(&Measured::Hyper)
            .then(|| options.concurrency.unwrap_or(HYPER_CONNECTIONS)),
        runs: usize::from(options.runs()),
        conditions: Conditions {
            cores,
            napi: options.napi,
            idle: match options.idle {
                Idle::Spin => "spin",
                Idle::Adaptive => "adaptive",
                Idle::Sleep => "sleep",
            },
            duration: options.duration(),
            request_bytes: options.request_bytes,
            join_fin: options.join_fin,
            folder: folder.path().to_owned(),
        },
        ceiling: CeilingConfig {
            cores,
            napi: options.napi,
            // With more connections in flight, the device's ring would overflow.
            concurrency: options.concurrency.unwrap_or(64).min(128) as u16,
            echo_span: span(250, 8).into(),
            exchange_span: span(1000, 2).into(),
        },
    }
}

fn settings(options: &Options) -> serde_json::Value {
    json!({
        "runs": options.runs(),
        "duration": options.duration().as_secs_f64(),
        "cores": options.cores.0,
        "napi": options.napi,
        "request_bytes": options.request_bytes,
        "join_fin": options.join_fin,
        "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    })
}
