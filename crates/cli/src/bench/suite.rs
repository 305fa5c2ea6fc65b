//! All runs of a benchmark, interleaved: ceiling, linerate, kernel, and again.
//!
//! A machine's speed changes from second to second, a virtual one's most of all. Figures that are compared
//! are therefore measured right after each other, and compared pair by pair.

use std::time::Instant;

use super::ceiling::{self, Ceiling, Measured, Task};
use super::folder::Folder;
use super::trial::{self, Conditions, Run};
use super::workload::Workload;
use crate::failure::Failure;
use crate::load::Pattern;
use crate::netns::interrupted;
use crate::options::Stack;
use crate::stop::Stop;

/// The times that one workload was run, index by index beside each other.
pub struct Series {
    /// What was run.
    pub workload: Workload,
    /// On this stack.
    pub linerate: Vec<Run>,
    /// On the kernel's.
    pub kernel: Vec<Run>,
    /// What the ceiling was each time, in the unit of the workload; empty where there is none.
    pub ceiling: Vec<f64>,
    /// The same for the segments that linerate really sent, where that is known.
    pub ceiling_alike: Vec<f64>,
}

/// Everything that was measured.
pub struct Results {
    /// In the order of the workloads.
    pub series: Vec<Series>,
    /// Over all times.
    pub ceiling: Ceiling,
    /// How long it all took.
    pub took: std::time::Duration,
}

/// What to run, how often.
pub struct Suite<'a> {
    /// Where the runs leave their files.
    pub folder: &'a Folder,
    /// In this order.
    pub workloads: Vec<Workload>,
    /// Times each.
    pub runs: usize,
    /// Under these conditions.
    pub conditions: Conditions,
    /// The ceiling, measured each time.
    pub task: Task,
}

impl Suite<'_> {
    /// Runs it all.
    ///
    /// # Errors
    /// At the first run that fails as a whole, and when a signal comes.
    pub fn run(&self, stop: &Stop) -> Result<Results, Failure> {
        let started = Instant::now();
        let (mut series, mut times) = (Vec::new(), Vec::new());
        for workload in &self.workloads {
            series.push(self.run_workload(workload, &mut times, stop)?);
        }
        let ceiling = Ceiling::of(&self.task, &times).ok_or_else(interrupted)?;
        Ok(Results { series, ceiling, took: started.elapsed() })
    }

    fn run_workload(
        &self,
        workload: &Workload,
        times: &mut Vec<Measured>,
        stop: &Stop,
    ) -> Result<Series, Failure> {
        let mut series = Series {
            workload: *workload,
            linerate: Vec::new(),
            kernel: Vec::new(),
            ceiling: Vec::new(),
            ceiling_alike: Vec::new(),
        };
        for number in 1..=self.runs {
            if stop.is_raised() {
                return Err(interrupted());
            }
            let place = format!("{} {number}/{}", workload.name(), self.runs);
            eprintln!("{place}: the ceiling");
            let measured = ceiling::measure(&self.task)?;
            series.ceiling.extend(ceiling_of(workload, &measured));
            for stack in [Stack::Linerate, Stack::Kernel] {
                eprintln!("{place}: {}", stack.name());
                let run = trial::run(stack, workload, &self.conditions, number, stop)?;
                tell(&place, stack, workload, &run);
                self.folder.write(
                    &format!("{}-{}-{number}.log", workload.name(), stack.name()),
                    &run.remarks,
                )?;
                match stack {
                    Stack::Linerate => {
                        let alike = run.segments().map(|it| measured.connections_per_second_in(it));
                        series.ceiling_alike.extend(alike);
                        series.linerate.push(run);
                    }
                    Stack::Kernel => series.kernel.push(run),
                }
            }
            times.push(measured);
        }
        Ok(series)
    }
}

/// What nothing can exceed over the same link; for bulk and for idle connections there is no such figure.
fn ceiling_of(workload: &Workload, measured: &Measured) -> Option<f64> {
    match workload.pattern {
        Pattern::Connect => Some(measured.connections_per_second()),
        Pattern::Request => Some(measured.round_trips_per_second(workload.concurrency)),
        Pattern::Stream | Pattern::Idle => None,
    }
}

fn tell(place: &str, stack: Stack, workload: &Workload, run: &Run) {
    let (rate, failed, drops) = (run.number(workload.rate()), run.failed(), run.drops.total());
    eprintln!(
        "{place}: {} {rate:.0} {}, {failed} failed, {drops} dropped by the devices",
        stack.name(),
        workload.rate().replace('_', " "),
    );
}
