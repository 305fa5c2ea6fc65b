//! All runs of a benchmark, interleaved in rounds: ceiling, linerate, kernel.
//!
//! The speed of a machine changes from second to second, especially of a virtual one. Results that
//! are compared are therefore measured directly one after the other, and compared pair by pair.

use std::time::Instant;

use super::ceiling::{self, Ceiling, CeilingConfig, Measurement};
use super::folder::Folder;
use super::http::{Contest, Standings};
use super::trial::{self, Conditions, Run};
use super::workload::Workload;
use crate::failure::Failure;
use crate::load::Pattern;
use crate::netns::interrupted;
use crate::options::Stack;
use crate::stop::Stop;

/// All runs of one workload. The lists are parallel, one entry per round.
pub(super) struct Series {
    /// The workload.
    pub workload: Workload,
    /// Runs on linerate.
    pub linerate: Vec<Run>,
    /// Runs on the kernel's stack.
    pub kernel: Vec<Run>,
    /// Ceiling of each round, in the unit of the workload; empty if the workload has none.
    pub ceiling: Vec<f64>,
    /// Ceiling of an exchange of as many segments as linerate sent, where that is known.
    pub ceiling_same_segments: Vec<f64>,
}

/// Results of the benchmark.
pub(super) struct Results {
    /// One series per workload, in their order.
    pub series: Vec<Series>,
    /// The comparison of HTTP servers, if it ran.
    pub hyper: Option<Standings>,
    /// The ceiling over all rounds.
    pub ceiling: Ceiling,
    /// Time that the benchmark took.
    pub took: std::time::Duration,
}

/// The runs of a benchmark.
pub(super) struct Suite<'a> {
    /// Directory for histograms and logs.
    pub folder: &'a Folder,
    /// Workloads, in the order in which they run.
    pub workloads: Vec<Workload>,
    /// Concurrent connections of the comparison of HTTP servers, if it runs; it comes last.
    pub hyper: Option<u64>,
    /// Rounds per workload.
    pub runs: usize,
    /// Conditions of all runs.
    pub conditions: Conditions,
    /// Configuration of the ceiling measurement.
    pub ceiling: CeilingConfig,
}

impl Suite<'_> {
    /// Runs the benchmark.
    ///
    /// # Errors
    /// When a run fails or a signal arrives.
    pub(super) fn run(&self, stop: &Stop) -> Result<Results, Failure> {
        let started = Instant::now();
        let (mut series, mut rounds) = (Vec::new(), Vec::new());
        for workload in &self.workloads {
            series.push(self.run_workload(workload, &mut rounds, stop)?);
        }
        let contest = self.hyper.map(|concurrency| Contest {
            concurrency,
            runs: self.runs,
            conditions: &self.conditions,
        });
        let hyper = contest.map(|contest| contest.run(stop)).transpose()?;
        if rounds.is_empty() {
            eprintln!("ceiling");
            rounds.push(ceiling::measure(&self.ceiling)?);
        }
        let ceiling = Ceiling::of(&self.ceiling, &rounds).ok_or_else(interrupted)?;
        Ok(Results { series, hyper, ceiling, took: started.elapsed() })
    }

    fn run_workload(
        &self,
        workload: &Workload,
        rounds: &mut Vec<Measurement>,
        stop: &Stop,
    ) -> Result<Series, Failure> {
        let mut series = Series {
            workload: *workload,
            linerate: Vec::new(),
            kernel: Vec::new(),
            ceiling: Vec::new(),
            ceiling_same_segments: Vec::new(),
        };
        for number in 1..=self.runs {
            if stop.is_raised() {
                return Err(interrupted());
            }
            let label = format!("{} {number}/{}", workload.name(), self.runs);
            eprintln!("{label}: ceiling");
            let measured = ceiling::measure(&self.ceiling)?;
            series.ceiling.extend(ceiling_of(workload, &measured));
            for stack in [Stack::Linerate, Stack::Kernel] {
                eprintln!("{label}: {}", stack.name());
                let run = trial::run(stack, workload, &self.conditions, number, stop)?;
                print_result(&label, stack, workload, &run);
                self.folder.write(
                    &format!("{}-{}-{number}.log", workload.name(), stack.name()),
                    &run.log,
                )?;
                match stack {
                    Stack::Linerate => {
                        let ceiling =
                            run.segments().map(|it| measured.connections_per_second_in(it));
                        series.ceiling_same_segments.extend(ceiling);
                        series.linerate.push(run);
                    }
                    Stack::Kernel => series.kernel.push(run),
                }
            }
            rounds.push(measured);
        }
        Ok(series)
    }
}

/// Returns the upper limit over the same link. Bulk transfer and idle connections have no ceiling.
fn ceiling_of(workload: &Workload, measured: &Measurement) -> Option<f64> {
    match workload.pattern {
        Pattern::Connect => Some(measured.connections_per_second()),
        Pattern::Request => Some(measured.round_trips_per_second(workload.concurrency)),
        Pattern::Stream | Pattern::Idle => None,
    }
}

fn print_result(label: &str, stack: Stack, workload: &Workload, run: &Run) {
    let (rate, failed, drops) = (run.number(workload.rate()), run.failed(), run.drops.total());
    eprintln!(
        "{label}: {} {rate:.0} {}, {failed} failed, {drops} dropped by the interfaces",
        stack.name(),
        workload.rate().replace('_', " "),
    );
}
