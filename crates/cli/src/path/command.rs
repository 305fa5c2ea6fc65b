//! The options of `linerate path`, and its runs in their order.

use std::time::Duration;

use clap::{Args, ValueEnum};
use linerate::link::impair::Impairments;
use serde_json::json;

use super::contest::{self, Conditions, Streams};
use super::report::{self, Runs};
use crate::failure::Failure;
use crate::network;
use crate::options::{CongestionControl, Stack};
use crate::output;
use crate::stop::Stop;

/// Measure bulk through a path made bad: this stack, the kernel's through the same path, and both at once.
///
/// Needs root, two cores, iproute2 and ethtool. Touches nothing of the host's network: all happens in
/// namespaces without a name, around a box that forwards frames with delay, loss, a rate and a queue.
#[derive(Args, Debug)]
#[command(after_help = "\
Alone: a stack sends and receives by itself; the ratio is taken run by run. Together: streams of both
stacks share the path, as many of each; Jain's index is 1 when both get the same, 0.5 when one gets all.
Each run has its own seed, the same for all stacks and congestion controls.

The path is written as for --impair of `serve`; tx is from senders to receivers, rx the way back. The rate
counts whole frames; the queue is in frames: 83 of them are one round trip of 20 ms at 50 Mbit/s.

JSON (--json): through, flows, duration, kernel, controls (a list of congestion_control, linerate and kernel:
bits a second run by run, ratio_to_kernel, together: [linerate, kernel] run by run, jain, frames).

Examples:
  linerate path
  linerate path --congestion-control newreno,cubic --only alone --runs 7 --duration 20
  linerate path --through 'delay=10ms;tx:rate=50mbit,queue=83' --only together --flows 2 --duration 60")]
pub struct Options {
    /// What the path does to frames
    #[arg(
        long,
        value_name = "SPEC",
        default_value = "delay=10ms;tx:loss=1%,rate=100mbit,queue=166"
    )]
    through: String,

    /// Congestion controls to compare; the kernel needs them too
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST", default_value = "cubic")]
    congestion_control: Vec<CongestionControl>,

    /// Leave out the other contest
    #[arg(long, value_enum)]
    only: Option<Contest>,

    /// Streams of each stack at once
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=64))]
    flows: u64,

    /// Times that each is run
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,

    /// Seconds that streams may settle before they are measured
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = network::seconds)]
    settle: Duration,

    /// Seconds to measure in each run
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = network::seconds)]
    duration: Duration,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Who is on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Contest {
    /// One stack after the other.
    Alone,
    /// Both stacks.
    Together,
}

/// Measures and reports.
///
/// # Errors
/// When the path makes no sense, the host lacks something, a run fails, or a signal comes.
pub fn run(options: &Options) -> Result<(), Failure> {
    let impairments: Impairments = options.through.parse().map_err(|error| {
        Failure::usage("cannot make that path", error, "mend --through (`linerate path --help`)")
    })?;
    let stop = Stop::on_signals()?;
    let (settle, duration) = (options.settle, options.duration);
    let conditions = Conditions { impairments, settle, duration };
    let mut all: Vec<_> =
        options.congestion_control.iter().map(|control| fresh(*control)).collect();
    for number in 0..u64::from(options.runs) {
        let seed = impairments.seed.wrapping_add(number);
        for runs in &mut all {
            measure(runs, options, &conditions, seed, &stop)?;
            eprintln!("run {} of {}: {} done", number + 1, options.runs, runs.control.name());
        }
    }
    if options.json {
        output::print_json(&json!({
            "through": options.through,
            "flows": options.flows,
            "duration": options.duration.as_secs_f64(),
            "kernel": std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
            "controls": report::json(&all),
        }));
    } else {
        output::print(&report::text(&all));
    }
    Ok(())
}

fn fresh(control: CongestionControl) -> Runs {
    Runs { control, linerate: Vec::new(), kernel: Vec::new(), together: Vec::new() }
}

/// One run of each contest.
fn measure(
    runs: &mut Runs,
    options: &Options,
    conditions: &Conditions,
    seed: u64,
    stop: &Stop,
) -> Result<(), Failure> {
    let of = |stack| Streams {
        sender: stack,
        receiver: stack,
        count: options.flows,
        control: runs.control,
    };
    let (ours, kernel) = (of(Stack::Linerate), of(Stack::Kernel));
    if options.only != Some(Contest::Together) {
        runs.linerate.push(contest::run(&[ours], conditions, seed, stop)?);
        runs.kernel.push(contest::run(&[kernel], conditions, seed, stop)?);
    }
    if options.only != Some(Contest::Alone) {
        runs.together.push(contest::run(&[ours, kernel], conditions, seed, stop)?);
    }
    Ok(())
}
