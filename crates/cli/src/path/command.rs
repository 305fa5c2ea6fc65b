//! Options of `linerate path`, and the order of its runs.

use std::time::Duration;

use clap::{Args, ValueEnum};
use linerate::link::impair::Impairments;
use serde_json::json;

use super::experiment::{self, Conditions, Flows};
use super::report::{self, Runs};
use crate::failure::Failure;
use crate::network;
use crate::options::{CongestionControl, Stack};
use crate::output;
use crate::stop::Stop;

/// Measure bulk throughput over an impaired path: linerate, the kernel's stack, and both at the
/// same time.
///
/// Needs root, two cores, iproute2 and ethtool. Does not touch the host's network: everything runs
/// in unnamed namespaces, around a middlebox that forwards frames with delay, loss, a rate limit
/// and a queue.
#[derive(Args, Debug)]
#[command(after_help = "\
Alone: each stack has the path to itself; the ratio compares run by run. Together: both stacks share
the path, with the same number of flows each; Jain's index is 1 if both get the same rate, 0.5 if
one gets all. Each run has its own seed, the same for all stacks and congestion controls.

The path has the syntax of `serve --impair`; tx is from senders to receivers, rx the reverse
direction. The rate counts whole frames. The queue is in frames: 83 frames are one round trip of
20 ms at 50 Mbit/s.

JSON (--json): through, flows, duration, kernel, controls (a list of congestion_control, linerate
and kernel: bits per second of each run, ratio_to_kernel, together: [linerate, kernel] of each run,
jain, frames).

Examples:
  linerate path
  linerate path --congestion-control newreno,cubic --only alone --runs 7 --duration 20
  linerate path --through 'delay=10ms;tx:rate=50mbit,queue=83' --only together --flows 2 \\
      --duration 60")]
pub(crate) struct Options {
    /// Impairments of the path
    #[arg(
        long,
        value_name = "SPEC",
        default_value = "delay=10ms;tx:loss=1%,rate=100mbit,queue=166"
    )]
    through: String,

    /// Congestion controls to compare; the kernel must have them too
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LIST", default_value = "cubic")]
    congestion_control: Vec<CongestionControl>,

    /// Run only this arrangement
    #[arg(long, value_enum)]
    only: Option<Arrangement>,

    /// Concurrent flows per stack
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        value_parser = clap::value_parser!(u64).range(1..=64)
    )]
    flows: u64,

    /// Runs of each arrangement
    #[arg(
        long,
        value_name = "N",
        default_value = "5",
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    runs: u16,

    /// Seconds that flows settle before the measurement
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = network::seconds)]
    settle: Duration,

    /// Seconds to measure in each run
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = network::seconds)]
    duration: Duration,

    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Stacks that use the path at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arrangement {
    /// One stack at a time.
    Alone,
    /// Both stacks at the same time.
    Together,
}

/// Runs the measurements and prints the report.
///
/// # Errors
/// When the path is invalid, the host lacks a requirement, a run fails, or a signal arrives.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let impairments: Impairments = options.through.parse().map_err(|error| {
        Failure::usage("cannot parse --through", error, "see `linerate path --help` for the syntax")
    })?;
    let stop = Stop::on_signals()?;
    let (settle, duration) = (options.settle, options.duration);
    let conditions = Conditions { impairments, settle, duration };
    let mut all: Vec<_> =
        options.congestion_control.iter().map(|control| empty_runs(*control)).collect();
    for number in 0..u64::from(options.runs) {
        let seed = impairments.seed.wrapping_add(number);
        for runs in &mut all {
            measure(runs, options, &conditions, seed, &stop)?;
            eprintln!("run {} of {}: {} done", number + 1, options.runs, runs.control.name());
        }
    }
    if options.json {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        output::print_json(&json!({
            "through": options.through,
            "flows": options.flows,
            "duration": options.duration.as_secs_f64(),
            "kernel": kernel.trim(),
            "controls": report::json(&all),
        }));
    } else {
        output::print(&report::text(&all));
    }
    Ok(())
}

fn empty_runs(control: CongestionControl) -> Runs {
    Runs { control, linerate: Vec::new(), kernel: Vec::new(), together: Vec::new() }
}

/// Runs each arrangement once.
fn measure(
    runs: &mut Runs,
    options: &Options,
    conditions: &Conditions,
    seed: u64,
    stop: &Stop,
) -> Result<(), Failure> {
    let of = |stack| Flows {
        sender: stack,
        receiver: stack,
        count: options.flows,
        control: runs.control,
    };
    let (ours, kernel) = (of(Stack::Linerate), of(Stack::Kernel));
    if options.only != Some(Arrangement::Together) {
        runs.linerate.push(experiment::run(&[ours], conditions, seed, stop)?);
        runs.kernel.push(experiment::run(&[kernel], conditions, seed, stop)?);
    }
    if options.only != Some(Arrangement::Alone) {
        runs.together.push(experiment::run(&[ours, kernel], conditions, seed, stop)?);
    }
    Ok(())
}
