//! Options of `linerate load`, and the whole run.

use std::fs::File;
use std::io::BufWriter;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use linerate::shard::Service;

use super::connect::Connect;
use super::hgrm;
use super::idle::Idle;
use super::plan::{Closing, Direction, Pattern, Plan};
use super::progress::{Gauges, Progress};
use super::report::Report;
use super::request::Request;
use super::session::{self, Session};
use super::stream::Stream;
use super::tally::{Latencies, Tally};
use crate::failure::Failure;
use crate::job::Job;
use crate::network;
use crate::options::{Stack, StackOptions};
use crate::output;
use crate::stack;
use crate::stop::Stop;

/// Default for `--bytes-per-connection` in a run with `--connections`.
const STREAM_BYTES_DEFAULT: u64 = 16 << 20;

/// Default for `--duration`.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);

/// Generate load and measure it: connections, requests, bulk transfer, idle connections.
#[derive(Args, Debug)]
#[command(after_help = "\
Patterns:
  connect  opens and closes connections in a loop; reports handshake and teardown latency
  request  sends --request-bytes on each of --concurrency persistent connections, waits for the same
           bytes back (echo), verifies them, repeats; reports request latency
  stream   bulk transfer on each of --concurrency connections: to discard, or from chargen
  idle     opens --connections (or --concurrency) connections and holds them

A run measures for --duration after a ramp (persistent connections open) and a warm-up, or until
--connections have finished. Then it closes the open connections; those not closed within --grace
count as failures (`unfinished`).

JSON (--json): pattern, stack, seconds, connections_opened, connections_completed (closed cleanly,
by FINs in both directions), connections_per_second (idle: opened per second during the ramp),
requests, requests_per_second, bytes_sent and bytes_received (payload), bits_per_second (payload,
both directions), failed (cause -> count), retransmissions (kernel: of the whole network namespace),
handshake, teardown, request: each null or count, p50, p90, p99, p999, max, mean, in nanoseconds.

Exit status 1 if no connection was established.

Examples:
  linerate load --interface eth0 --address 10.0.0.1/24 --target 10.0.0.2:9000 --pattern connect \\
      --concurrency 64 --duration 10 --idle spin
  linerate load --stack kernel --target 127.0.0.1:7 --pattern request --connections 1000 --json
  linerate load --interface eth0 --address 10.0.0.1/24 --target 10.0.0.2:7 --pattern request \\
      --concurrency 1 --request-bytes 64 --histogram request.hgrm")]
pub(crate) struct Options {
    /// Address to connect to; repeat for round robin over several. IPv6: [fd00::2]:80
    #[arg(long = "target", value_name = "ADDR:PORT", required = true)]
    targets: Vec<SocketAddr>,

    /// Load pattern
    #[arg(long, value_enum)]
    pattern: Pattern,

    /// Concurrent connections, total over all workers (idle: concurrent handshakes)
    #[arg(
        long,
        value_name = "N",
        default_value = "64",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    concurrency: u64,

    /// Seconds to measure [default: 10, unless --connections is given]
    #[arg(long, value_name = "SECONDS", value_parser = network::seconds)]
    duration: Option<Duration>,

    /// Connections to open, total over all workers; all are measured (idle: connections to hold)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    connections: Option<u64>,

    /// Seconds to run before measuring [default: a tenth of the duration, at most 1; 0 with
    /// --connections]
    #[arg(long, value_name = "SECONDS", value_parser = network::seconds)]
    warm_up: Option<Duration>,

    /// Seconds to wait at the end for open connections to close
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = network::seconds)]
    grace: Duration,

    /// request: size of a request and of its response; units k, M
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = network::bytes)]
    request_bytes: u64,

    /// request: send GET requests of HTTP instead, each answered with status 200 and this many
    /// bytes, head included
    #[cfg(feature = "lab")]
    #[arg(long, hide = true, value_name = "BYTES",
        value_parser = clap::value_parser!(u32).range(32..=1 << 20))]
    http_response_bytes: Option<u32>,

    /// request: requests per connection before it closes [default: unlimited; 1 with --connections]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_connection: Option<u64>,

    /// stream: bytes per connection before it closes; units k, M, G [default: unlimited; 16M with
    /// --connections]
    #[arg(long, value_name = "BYTES", value_parser = network::bytes)]
    bytes_per_connection: Option<u64>,

    /// stream: direction; auto receives if the target sends immediately, otherwise sends
    #[arg(long, value_enum, default_value = "auto")]
    direction: Direction,

    /// connect: close in the same turn that the connection opens, so that linerate may send its FIN
    /// with the last ACK of the handshake (five segments instead of seven; the kernel cannot)
    #[arg(long)]
    join_fin: bool,

    /// Write a latency histogram (percentiles in microseconds, HdrHistogram text format): request
    /// latency for the request pattern, handshake latency for the others. connect and idle also
    /// write teardown latency to FILE.teardown.hgrm
    #[arg(long, value_name = "FILE.hgrm")]
    histogram: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    stack: StackOptions,
}

/// Runs the pattern and prints the report.
///
/// # Errors
/// When the options are invalid, the stack does not start, a file cannot be written, or no
/// connection was established.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let plan = plan(options)?;
    let tally = measure(options, &plan)?;
    let report = Report::new(plan.pattern, options.stack.stack, &tally);
    if options.json {
        output::print_json(&serde_json::json!(report));
    } else {
        output::print(&report.to_string());
    }
    if let Some(path) = &options.histogram {
        write_histograms(path, plan.pattern, &tally)?;
    }
    if report.has_no_connections() {
        return Err(Failure::new(
            format!("no connection to {} was established", list(&plan.targets)),
            format!("the main cause was `{}`", report.main_cause()),
            "check that the target serves that port (`linerate serve`) and is reachable (address, \
             gateway, firewall)",
        ));
    }
    Ok(())
}

fn list(targets: &[SocketAddr]) -> String {
    targets.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn measure(options: &Options, plan: &Plan) -> Result<Tally, Failure> {
    let workers = options.stack.workers();
    let results: Vec<session::Result> = (0..workers).map(|_| session::Result::default()).collect();
    let gauges: Vec<Arc<Gauges>> = (0..workers).map(|_| Arc::default()).collect();
    // The signal makes the session drain. The stack gets a flag of its own, which stays clear, so
    // that it keeps running until the session has finished.
    let signal = Stop::on_signals()?;
    let progress = Progress::start(gauges.clone());
    let (plans, results_of) = (plan.clone(), results.clone());
    let outcome = stack::run(&Job {
        options: &options.stack,
        listeners: &[],
        make_service: Arc::new(move |worker| {
            let (result, gauges) = (Arc::clone(&results_of[worker]), Arc::clone(&gauges[worker]));
            let share = plans.share(worker, workers);
            make_pattern(Session::new(share, signal.clone(), result, gauges))
        }),
        drains: false,
        stop: &Stop::default(),
        ready: &|| {},
    });
    progress.finish();
    let report = outcome?;
    if !options.json {
        for (name, count) in &report.counters {
            eprintln!("{name}: {count}");
        }
    }
    let mut total = Tally::new();
    for tally in results.iter().filter_map(|result| result.lock().ok()?.take()) {
        total.merge(&tally);
    }
    Ok(total)
}

fn make_pattern(session: Session) -> Box<dyn Service> {
    match session.plan.pattern {
        Pattern::Connect => Box::new(Connect::new(session)),
        Pattern::Request => Box::new(Request::new(session)),
        Pattern::Stream => Box::new(Stream::new(session)),
        Pattern::Idle => Box::new(Idle::new(session)),
    }
}

fn plan(options: &Options) -> Result<Plan, Failure> {
    options.stack.check()?;
    check(options)?;
    let is_counted = options.connections.is_some() && options.pattern != Pattern::Idle;
    let duration = options.duration.or_else(|| (!is_counted).then_some(DURATION_DEFAULT));
    let warm_up = options.warm_up.unwrap_or_else(|| match duration {
        Some(duration) if !is_counted => (duration / 10).min(Duration::from_secs(1)),
        _ => Duration::ZERO,
    });
    // The kernel has sent the last ACK of the handshake before it reports the connection.
    let closes_in_same_turn = options.join_fin || options.stack.stack == Stack::Kernel;
    Ok(Plan {
        pattern: options.pattern,
        targets: options.targets.clone(),
        sources: options.stack.addresses.iter().map(|cidr| cidr.address).collect(),
        concurrency: options.concurrency,
        connections: options.connections,
        duration: duration.map(Into::into),
        warm_up: warm_up.into(),
        grace: options.grace.into(),
        request_bytes: options.request_bytes as usize,
        #[cfg(feature = "lab")]
        http_response_bytes: options.http_response_bytes.map(|bytes| bytes as usize),
        #[cfg(not(feature = "lab"))]
        http_response_bytes: None,
        requests_per_connection: options.requests_per_connection.or(is_counted.then_some(1)),
        bytes_per_connection: options
            .bytes_per_connection
            .or(is_counted.then_some(STREAM_BYTES_DEFAULT)),
        direction: options.direction,
        closing: if closes_in_same_turn { Closing::SameTurn } else { Closing::NextTurn },
        fast_open: options.stack.fast_open,
    })
}

fn check(options: &Options) -> Result<(), Failure> {
    let tried = "cannot generate this load";
    let usage = |wrong: String, remedy: &str| Err(Failure::usage(tried, wrong, remedy));
    if !(1..=64 << 20).contains(&options.request_bytes) {
        let wrong = format!("requests of {} bytes are out of range", options.request_bytes);
        return usage(wrong, "use --request-bytes from 1 to 64M");
    }
    if options.concurrency < options.stack.workers() as u64 {
        let wrong =
            format!("{} connections for {} workers", options.concurrency, options.stack.workers());
        return usage(
            wrong,
            "use at least one connection per worker: raise --concurrency, or use fewer --queues",
        );
    }
    let addresses = &options.stack.addresses;
    for target in &options.targets {
        if target.port() == 0 {
            return usage(format!("{target} has port 0"), "give the port that the target serves");
        }
        let same_family = |it: &network::Cidr| it.address.is_ipv4() == target.is_ipv4();
        if !addresses.is_empty() && !addresses.iter().any(same_family) {
            let wrong = format!("no --address has the address family of {target}");
            return usage(wrong, "add an --address of that family");
        }
    }
    Ok(())
}

fn write_histograms(path: &Path, pattern: Pattern, tally: &Tally) -> Result<(), Failure> {
    match pattern {
        Pattern::Request => write_histogram(path, &tally.request),
        Pattern::Stream => write_histogram(path, &tally.handshake),
        Pattern::Connect | Pattern::Idle => {
            write_histogram(path, &tally.handshake)?;
            write_histogram(&path.with_extension("teardown.hgrm"), &tally.teardown)
        }
    }
}

fn write_histogram(path: &Path, latencies: &Latencies) -> Result<(), Failure> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        hgrm::write(&mut file, latencies)?;
        std::io::Write::flush(&mut file)
    };
    write().map_err(|error: std::io::Error| {
        Failure::new(
            format!("cannot write the histogram {}", path.display()),
            error,
            "give --histogram a path in an existing, writable directory",
        )
    })
}
