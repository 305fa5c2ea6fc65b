//! The options of `linerate load`, and its run from beginning to end.

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

/// Bytes of a stream on each connection of a run of so many connections, unless told otherwise.
const STREAM_BYTES: u64 = 16 << 20;

/// Seconds of a run that is not told how long to be.
const SECONDS: Duration = Duration::from_secs(10);

/// Generate load from the stack and measure it: connections, requests, bulk, idle connections.
#[derive(Args, Debug)]
#[command(after_help = "\
Patterns:
  connect  opens and closes, again and again; handshake and teardown latencies apart
  request  sends --request-bytes on each of --concurrency kept connections, awaits as many bytes back
           (echo), checks them, repeats; request latency
  stream   bulk on each of --concurrency connections: to discard, or from chargen
  idle     opens --connections (or --concurrency) connections and holds them

A run lasts --duration after a ramp (kept connections open) and a warm-up, or --connections in all. At its
end the open connections are closed; those not closed within --grace are failures (`unfinished`).

JSON (--json): pattern, stack, seconds, connections_opened, connections_completed (closed by a full
exchange of FINs), connections_per_second (idle: opened, by the second of the ramp), requests,
requests_per_second, bytes_sent and bytes_received (payload), bits_per_second (payload, both ways), failed
(cause -> count), retransmissions (kernel: of the network namespace), handshake, teardown, request: each
null or count, p50, p90, p99, p999, max, mean, in nanoseconds.

Exit status 1 if no connection was established at all.

Examples:
  linerate load --interface eth0 --address 10.0.0.1/24 --target 10.0.0.2:9000 --pattern connect \\
      --concurrency 64 --duration 10 --idle spin
  linerate load --stack kernel --target 127.0.0.1:7 --pattern request --connections 1000 --json
  linerate load --interface eth0 --address 10.0.0.1/24 --target 10.0.0.2:7 --pattern request \\
      --concurrency 1 --request-bytes 64 --histogram request.hgrm")]
pub struct Options {
    /// Where to connect to; repeat for several, taken in turn. IPv6 as [fd00::2]:80
    #[arg(long = "target", value_name = "ADDR:PORT", required = true)]
    targets: Vec<SocketAddr>,

    /// What to do on the connections
    #[arg(long, value_enum)]
    pattern: Pattern,

    /// Connections at once, over all workers (idle: handshakes at once)
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u64).range(1..))]
    concurrency: u64,

    /// How long to measure, in seconds [default: 10, unless --connections is given]
    #[arg(long, value_name = "SECONDS", value_parser = network::seconds)]
    duration: Option<Duration>,

    /// Connections in all, over all workers; each is measured (idle: how many to hold)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    connections: Option<u64>,

    /// Seconds to run before measuring [default: a tenth of the duration, at most 1; 0 for a run of
    /// --connections]
    #[arg(long, value_name = "SECONDS", value_parser = network::seconds)]
    warm_up: Option<Duration>,

    /// Seconds to wait at the end for open connections to close
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = network::seconds)]
    grace: Duration,

    /// request: bytes of a request and of its answer; units k, M
    #[arg(long, value_name = "BYTES", default_value = "64", value_parser = network::bytes)]
    request_bytes: u64,

    /// request: requests on a connection before it is closed [default: no end; 1 with --connections]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    requests_per_connection: Option<u64>,

    /// stream: bytes on a connection before it is closed; units k, M, G [default: no end; 16M with
    /// --connections]
    #[arg(long, value_name = "BYTES", value_parser = network::bytes)]
    bytes_per_connection: Option<u64>,

    /// stream: which way; auto receives from a target that begins to send at once, and sends to others
    #[arg(long, value_enum, default_value = "auto")]
    direction: Direction,

    /// connect: close in the turn that the connection opened, so that linerate may join its FIN with the
    /// handshake's last ACK (five segments instead of seven; the kernel cannot)
    #[arg(long)]
    join_fin: bool,

    /// Write the latency histogram (percentiles, microseconds, the text format of HdrHistogram): of the
    /// request pattern its requests, of the others the handshakes; connect and idle write their teardowns
    /// beside it, as FILE.teardown.hgrm
    #[arg(long, value_name = "FILE.hgrm")]
    histogram: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    stack: StackOptions,
}

/// Runs the pattern and reports.
///
/// # Errors
/// When the options make no sense, the stack does not come up, a file cannot be written, or nothing was
/// ever connected.
pub fn run(options: &Options) -> Result<(), Failure> {
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
    if report.is_barren() {
        return Err(Failure::new(
            format!("no connection to {} was established", list(&plan.targets)),
            format!("the main cause was `{}`", report.main_cause()),
            "see that the target serves that port (`linerate serve`), and that it can be reached \
             (address, gateway, firewall)",
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
    // The session sees the signal and drains; the stack itself is not to be stopped under it.
    let signal = Stop::on_signals()?;
    let progress = Progress::start(gauges.clone());
    let outcome = stack::run(&Job {
        options: &options.stack,
        listeners: &[],
        make_service: &|worker| {
            let (result, gauges) = (Arc::clone(&results[worker]), Arc::clone(&gauges[worker]));
            let share = plan.share(worker, workers);
            make(Session::new(share, signal.clone(), result, gauges))
        },
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

fn make(session: Session) -> Box<dyn Service + Send> {
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
    let duration = options.duration.or_else(|| (!is_counted).then_some(SECONDS));
    let warm_up = options.warm_up.unwrap_or_else(|| match duration {
        Some(duration) if !is_counted => (duration / 10).min(Duration::from_secs(1)),
        _ => Duration::ZERO,
    });
    // The kernel has sent the handshake's ACK before it tells of the connection.
    let at_once = options.join_fin || options.stack.stack == Stack::Kernel;
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
        requests_per_connection: options.requests_per_connection.or(is_counted.then_some(1)),
        bytes_per_connection: options.bytes_per_connection.or(is_counted.then_some(STREAM_BYTES)),
        direction: options.direction,
        closing: if at_once { Closing::AtOnce } else { Closing::NextTurn },
        fast_open: options.stack.fast_open,
    })
}

fn check(options: &Options) -> Result<(), Failure> {
    let tried = "cannot generate such a load";
    let usage = |wrong: String, remedy: &str| Err(Failure::usage(tried, wrong, remedy));
    if !(1..=64 << 20).contains(&options.request_bytes) {
        let wrong = format!("a request of {} bytes", options.request_bytes);
        return usage(wrong, "use --request-bytes from 1 to 64M");
    }
    if options.concurrency < options.stack.workers() as u64 {
        let wrong =
            format!("{} connections for {} workers", options.concurrency, options.stack.workers());
        return usage(wrong, "give every worker one: a larger --concurrency, or fewer --queues");
    }
    let addresses = &options.stack.addresses;
    for target in &options.targets {
        if target.port() == 0 {
            return usage(format!("port 0 of {target}"), "give the port that the target serves");
        }
        let is_alike = |it: &network::Cidr| it.address.is_ipv4() == target.is_ipv4();
        if !addresses.is_empty() && !addresses.iter().any(is_alike) {
            let wrong = format!("no --address of the family of {target}");
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
            "give a --histogram in a folder that exists and can be written to",
        )
    })
}
