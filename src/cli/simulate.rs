//! `linerate simulate`: whole stacks in a world made of one seed, with a bad network, watched at every step.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use linerate::link::pcap::{Direction, Recorder};
use linerate::sim::{Outcome, Scenario, Violation, Witness};
use serde_json::json;

use super::failure::Failure;
use super::output;

/// Run the stack in simulated worlds, each drawn whole from its seed, and check that nothing breaks.
///
/// A world has two to four hosts with random settings, conversations of many kinds, and a storm of loss,
/// reordering, duplication, corruption and silence, after which everything must come to its end: every byte in
/// its place, every connection closed by an exchange of FINs or an error that the world explains, nothing left
/// behind. The same seed gives the same world to the last frame.
#[derive(Args, Debug)]
#[command(after_help = "\
JSON (--json): seed, runs, failed (a list of objects with seed, at_ms, what, command), frames, bytes,
conversations, world_seconds, seconds, trace (of all frames of all worlds; the same for the same seeds).

Examples:
  linerate simulate --seed 7
  linerate simulate --runs 10000
  linerate simulate --seed 7 --verbose --pcap seven.pcap")]
pub struct Options {
    /// The seed of the first world [default: another each time, which is told]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// Worlds to run, of this seed and those after it
    #[arg(long, value_name = "M", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,

    /// Tell of each world what was drawn and what came of it
    #[arg(long, short)]
    verbose: bool,

    /// Record the frames of the one world that is run (.pcap or .pcapng)
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What all worlds were like.
#[derive(Default)]
struct Sum {
    frames: u64,
    bytes: u64,
    conversations: u64,
    world_seconds: f64,
    trace: u64,
    failed: Vec<Violation>,
}

impl Sum {
    fn add(&mut self, outcome: &Outcome) {
        self.frames += outcome.frames;
        self.bytes += outcome.bytes;
        self.conversations += outcome.conversations as u64;
        self.world_seconds += outcome.took.as_secs_f64();
        self.trace = self.trace.rotate_left(1) ^ outcome.trace;
    }
}

/// Runs the worlds.
///
/// # Errors
/// When an invariant broke in one of them, or the capture file cannot be written.
pub fn run(options: &Options) -> Result<(), Failure> {
    if options.pcap.is_some() && options.runs > 1 {
        return Err(Failure::usage(
            "cannot record these worlds",
            format!("--pcap takes one world, and there are {}", options.runs),
            "leave --runs out",
        ));
    }
    let seed = options.seed.unwrap_or_else(draw);
    if seed.checked_add(options.runs - 1).is_none() {
        return Err(Failure::usage(
            "cannot run these worlds",
            "the seeds end at 2^64",
            "use a smaller --seed",
        ));
    }
    eprintln!("simulating {} of seed {seed}", worlds(options.runs));
    let begun = Instant::now();
    let sum = run_all(options, seed)?;
    let took = begun.elapsed().as_secs_f64();
    if options.json {
        output::print_json(&json!({
            "seed": seed,
            "runs": options.runs,
            "failed": sum.failed.iter().map(described).collect::<Vec<_>>(),
            "frames": sum.frames,
            "bytes": sum.bytes,
            "conversations": sum.conversations,
            "world_seconds": sum.world_seconds,
            "seconds": took,
            "trace": format!("{:016x}", sum.trace),
        }));
    } else {
        output::print(&format!(
            "{}, {} conversations, {} frames, {} bytes read, {:.0} s of their time in {took:.1} s; trace {:016x}\n",
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
            format!("{} of {} broke", worlds(sum.failed.len() as u64), options.runs),
            format!("the first by seed {}", first.seed),
            format!("see it again with `{} --verbose`, and report it", command(first.seed)),
        )),
    }
}

fn run_all(options: &Options, seed: u64) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    let mut told = Instant::now();
    for (done, seed) in (seed..=seed + (options.runs - 1)).enumerate() {
        let scenario = Scenario::draw(seed);
        if options.verbose {
            eprintln!("{scenario:#?}");
        }
        let recorder = options.pcap.as_deref().map(recorder).transpose()?;
        let outcome = scenario.run_before(recorder.as_ref().map(witness));
        recorder.as_ref().map_or(Ok(()), close)?;
        match outcome {
            Ok(outcome) => {
                if options.verbose {
                    eprintln!("{outcome:#?}");
                }
                sum.add(&outcome);
            }
            Err(violation) => {
                eprintln!("{violation}\n  to see it again: {}", command(seed));
                sum.failed.push(violation);
            }
        }
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            eprintln!("{} of {}, {} broke", done + 1, worlds(options.runs), sum.failed.len());
        }
    }
    Ok(sum)
}

fn worlds(count: u64) -> String {
    if count == 1 { "1 world".to_owned() } else { format!("{count} worlds") }
}

fn command(seed: u64) -> String {
    format!("linerate simulate --seed {seed}")
}

fn described(violation: &Violation) -> serde_json::Value {
    json!({
        "seed": violation.seed,
        "at_ms": violation.at.as_millis(),
        "what": violation.what,
        "command": command(violation.seed),
    })
}

/// Another seed each time; small enough to be typed.
fn draw() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 % 1_000_000_000_000
}

fn recorder(path: &Path) -> Result<Recorder, Failure> {
    Recorder::create(path, Duration::ZERO).map_err(|error| {
        Failure::new("cannot record the world", error, "name a file that can be written")
    })
}

/// Shows every frame to the recorder.
fn witness(recorder: &Recorder) -> Witness {
    let recorder = recorder.clone();
    Box::new(move |now, frame| recorder.record(now, Direction::Out, frame))
}

/// Everything is written, or it is told what is not.
fn close(recorder: &Recorder) -> Result<(), Failure> {
    recorder.flush();
    match recorder.lost() {
        None => Ok(()),
        Some((lost, cause)) => Err(Failure::new(
            format!("cannot record the world: {lost} frames are lost"),
            cause,
            "make room, or name a file elsewhere",
        )),
    }
}
