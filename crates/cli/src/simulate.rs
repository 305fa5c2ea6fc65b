//! `linerate simulate`: complete stacks in a simulated world drawn from one seed, over a bad
//! network, with every invariant checked at every step.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use linerate::link::pcap::{Direction, Recorder};
use linerate::net;
use linerate::sim::{Outcome, Scenario, Violation, Witness};
use serde_json::json;

use super::failure::Failure;
use super::output;

/// Run the stack in simulated worlds, each drawn from its seed, and check that no invariant breaks.
///
/// A world has two to four hosts with random settings and many kinds of conversations. First comes
/// a storm of loss, reordering, duplication, corruption and outages; then the network heals, and
/// everything must finish: every byte delivered in order, every connection closed cleanly or with
/// an error that the faults explain, no state left behind. The same seed reproduces the same world,
/// frame by frame.
#[derive(Args, Debug)]
#[command(after_help = "\
JSON (--json): seed, runs, failed (a list of objects with seed, at_ms, what, command), frames,
bytes, conversations, world_seconds, seconds, trace (a hash of all frames of all worlds; equal seeds
give equal hashes).

Examples:
  linerate simulate --seed 7
  linerate simulate --runs 10000
  linerate simulate --runs 10000 --programs async
  linerate simulate --seed 7 --verbose --pcap seven.pcap")]
pub(crate) struct Options {
    /// Seed of the first world [default: a new one each time, printed at the start]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Number of worlds to run, with consecutive seeds
    #[arg(
        long,
        value_name = "M",
        default_value = "1",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    runs: u64,

    /// Programs on the hosts: callbacks, or async tasks that also drop futures half-way, cancel
    /// accepts, panic, and drain
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Programs::Callbacks)]
    programs: Programs,

    /// Print the scenario and the outcome of each world
    #[arg(long, short)]
    verbose: bool,

    /// Capture the frames of the world to this file (.pcap or .pcapng); needs a single world
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// The programs on the hosts of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Programs {
    /// Callbacks of a service.
    Callbacks,
    /// Tasks of an executor.
    Async,
}

impl Programs {
    fn draw(self, seed: u64) -> Scenario {
        match self {
            Self::Callbacks => Scenario::draw(seed),
            Self::Async => Scenario::draw_restless(seed),
        }
    }

    fn run(self, scenario: &Scenario, witness: Option<Witness>) -> Result<Outcome, Violation> {
        match self {
            Self::Callbacks => scenario.run_before(witness),
            Self::Async => net::run_scenario(scenario, witness),
        }
    }
}

/// Interval between progress lines.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// Totals over all worlds.
#[derive(Default)]
struct Totals {
    frames: u64,
    bytes: u64,
    conversations: u64,
    world_seconds: f64,
    trace: u64,
    failed: Vec<Violation>,
}

impl Totals {
    fn add(&mut self, outcome: &Outcome) {
        self.frames += outcome.frames;
        self.bytes += outcome.bytes;
        self.conversations += outcome.conversations as u64;
        self.world_seconds += outcome.took.as_secs_f64();
        self.trace = self.trace.rotate_left(1) ^ outcome.trace;
    }
}

/// Runs the worlds and prints the result.
///
/// # Errors
/// When an invariant breaks in any world, or the capture file cannot be written.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if options.pcap.is_some() && options.runs > 1 {
        return Err(Failure::usage(
            "cannot capture these worlds",
            format!("--pcap captures one world, but --runs is {}", options.runs),
            "omit --runs",
        ));
    }
    let seed = options.seed.unwrap_or_else(draw);
    if seed.checked_add(options.runs - 1).is_none() {
        return Err(Failure::usage(
            "cannot run these worlds",
            "the last seed would exceed 2^64",
            "use a smaller --seed",
        ));
    }
    eprintln!("simulating {}, starting with seed {seed}", worlds(options.runs));
    let started = Instant::now();
    let sum = run_all(options, seed)?;
    let took = started.elapsed().as_secs_f64();
    if options.json {
        let failed = sum.failed.iter().map(|it| violation_json(options.programs, it));
        let failed: Vec<_> = failed.collect();
        output::print_json(&json!({
            "seed": seed,
            "runs": options.runs,
            "failed": failed,
            "frames": sum.frames,
            "bytes": sum.bytes,
            "conversations": sum.conversations,
            "world_seconds": sum.world_seconds,
            "seconds": took,
            "trace": format!("{:016x}", sum.trace),
        }));
    } else {
        output::print(&format!(
            "{}, {} conversations, {} frames, {} bytes read, {:.0} s simulated in {took:.1} s; \
             trace {:016x}\n",
            worlds(options.runs),
            sum.conversations,
            sum.frames,
            sum.bytes,
            sum.world_seconds,
            sum.trace
        ));
    }
    match sum.failed.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Failure::new(
            format!("simulation failed in {} of {}", sum.failed.len(), worlds(options.runs)),
            format!("the first failing seed is {}", first.seed),
            format!(
                "reproduce it with `{} --verbose` and report it",
                command(options.programs, first.seed)
            ),
        )),
    }
}

fn run_all(options: &Options, seed: u64) -> Result<Totals, Failure> {
    let mut sum = Totals::default();
    let mut reported_at = Instant::now();
    for (done, seed) in (seed..=seed + (options.runs - 1)).enumerate() {
        let scenario = options.programs.draw(seed);
        if options.verbose {
            eprintln!("{scenario:#?}");
        }
        let recorder = options.pcap.as_deref().map(recorder).transpose()?;
        let outcome = options.programs.run(&scenario, recorder.as_ref().map(witness));
        recorder.as_ref().map_or(Ok(()), close)?;
        match outcome {
            Ok(outcome) => {
                if options.verbose {
                    eprintln!("{outcome:#?}");
                }
                sum.add(&outcome);
            }
            Err(violation) => {
                eprintln!("{violation}\n  to reproduce: {}", command(options.programs, seed));
                sum.failed.push(violation);
            }
        }
        if reported_at.elapsed() > PROGRESS_INTERVAL {
            reported_at = Instant::now();
            eprintln!("{} of {} done, {} failed", done + 1, worlds(options.runs), sum.failed.len());
        }
    }
    Ok(sum)
}

fn worlds(count: u64) -> String {
    if count == 1 { "1 world".to_owned() } else { format!("{count} worlds") }
}

fn command(programs: Programs, seed: u64) -> String {
    match programs {
        Programs::Callbacks => format!("linerate simulate --seed {seed}"),
        Programs::Async => format!("linerate simulate --programs async --seed {seed}"),
    }
}

fn violation_json(programs: Programs, violation: &Violation) -> serde_json::Value {
    json!({
        "seed": violation.seed,
        "at_ms": violation.at.as_millis(),
        "what": violation.what,
        "command": command(programs, violation.seed),
    })
}

/// Draws a seed from the clock, short enough to type.
fn draw() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 % 1_000_000_000_000
}

fn recorder(path: &Path) -> Result<Recorder, Failure> {
    Recorder::create(path, Duration::ZERO).map_err(|error| {
        Failure::new("cannot create the capture file", error, "give a writable path with --pcap")
    })
}

/// Returns a witness that passes every frame to the recorder.
fn witness(recorder: &Recorder) -> Witness {
    let recorder = recorder.clone();
    Box::new(move |now, frame| recorder.record(now, Direction::Out, frame))
}

/// Flushes the recorder and fails if frames are missing from the file.
fn close(recorder: &Recorder) -> Result<(), Failure> {
    recorder.flush();
    match recorder.lost() {
        None => Ok(()),
        Some((lost, cause)) => Err(Failure::new(
            format!("the capture is incomplete: {lost} frames are missing"),
            cause,
            "free disk space, or give another path with --pcap",
        )),
    }
}
