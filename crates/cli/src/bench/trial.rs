//! One run of one stack: `serve` at one end of a fresh pair, `load` at the other, this same program both.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::lab::{Drops, Lab, Napi, PREFIX, Side, Wish};
use super::workload::{PORT, Workload};
use crate::failure::Failure;
use crate::load::Pattern;
use crate::netns::Child;
use crate::options::Stack;
use crate::stop::Stop;

/// How long a server may take to be ready, and a client beyond its measurement: the ramp, the drain.
const SLACK: Duration = Duration::from_secs(20);

/// Opens a second that the addresses are laid out for, and ports of one address, roughly. A TIME-WAIT holds
/// its port for longer than a run lasts, and both stacks slow down as the last free ones are searched for.
const OPENS_A_SECOND_MAX: u64 = 200_000;
const PORTS_AN_ADDRESS: u64 = 32_000;

/// Addresses of the client at most: less than a shard can hold.
const SOURCES_MAX: u64 = 128;

/// What all runs have in common.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// The cores of server and client.
    pub cores: [usize; 2],
    /// How frames arrive.
    pub napi: Napi,
    /// What idle workers do: the same on both stacks.
    pub idle: &'static str,
    /// How long a run is measured.
    pub duration: Duration,
    /// Bytes of a request and of its answer.
    pub request_bytes: u64,
    /// The client leaves no room between handshake and close.
    pub join_fin: bool,
    /// Where the runs leave their histograms.
    pub folder: PathBuf,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The JSON of `load`, with what the devices counted added to it.
    pub report: Map<String, Value>,
    /// Packets that the devices dropped.
    pub drops: Drops,
    /// What both ends had to say on standard error.
    pub remarks: String,
    /// The files with the latencies, by name.
    pub histograms: Vec<(&'static str, PathBuf)>,
}

impl Run {
    /// A number of the report; zero when it is not there.
    pub fn number(&self, key: &str) -> f64 {
        self.report.get(key).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// Segments of a connection, where all there was were opens and closes.
    pub fn segments(&self) -> Option<f64> {
        self.report.get("segments_per_connection").and_then(Value::as_f64)
    }

    /// Failed connections in all.
    pub fn failed(&self) -> u64 {
        let causes = self.report.get("failed").and_then(Value::as_object);
        causes.map_or(0, |causes| causes.values().filter_map(Value::as_u64).sum())
    }
}

/// Runs a workload on a stack, once.
///
/// # Errors
/// When the pair cannot be made, either end fails or hangs, or a signal came.
pub fn run(
    stack: Stack,
    workload: &Workload,
    conditions: &Conditions,
    number: usize,
    stop: &Stop,
) -> Result<Run, Failure> {
    let sources = sources(conditions.duration);
    let kernel_sources = (stack == Stack::Kernel).then_some(sources);
    let Conditions { cores, napi, duration, .. } = *conditions;
    let lab = Lab::new(&Wish { cores, napi, kernel_sources })?;
    let mut server = Child::spawn(lab.end(Side::Server), &serve(stack, workload, conditions))?;
    server.await_line(SLACK, stop)?;
    let before = lab.drops();
    let packets_before = lab.packets();
    let file =
        conditions.folder.join(format!("{}-{}-{number}.hgrm", workload.name(), stack.name()));
    let arguments = load(stack, workload, conditions, sources, &file);
    let client = Child::spawn(lab.end(Side::Client), &arguments)?;
    let (output, client_remarks) = client.await_end(duration + SLACK, stop)?;
    let drops = lab.drops().since(&before);
    let packets = lab.packets() - packets_before;
    let server_remarks = server.finish();
    let mut report = parse(&output)?;
    let served = match stack {
        Stack::Linerate => counter(&server_remarks, "passive-opens"),
        Stack::Kernel => lab.passive_opens(),
    };
    if let (Pattern::Connect, Some(served @ 1..)) = (workload.pattern, served) {
        report.insert("segments_per_connection".into(), (packets as f64 / served as f64).into());
    }
    report.insert("device_drops".into(), serde_json::json!(drops));
    let remarks = format!("serve:\n{server_remarks}load:\n{client_remarks}");
    Ok(Run { report, drops, remarks, histograms: histograms(workload, &file) })
}

/// Source addresses that a run needs so that neither stack runs out of ports.
fn sources(duration: Duration) -> usize {
    let seconds = duration.as_secs() + 2;
    (seconds * OPENS_A_SECOND_MAX).div_ceil(PORTS_AN_ADDRESS).clamp(8, SOURCES_MAX) as usize
}

/// A counter that `serve` tells when it ends.
fn counter(remarks: &str, name: &str) -> Option<u64> {
    let line = remarks.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line?.trim().parse().ok()
}

fn parse(output: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(output).map_err(|error| {
        Failure::new("cannot read what `linerate load` reported", error, "report this as a bug")
    })
}

/// The arguments that both ends share.
fn common(stack: Stack, side: Side, conditions: &Conditions) -> Vec<String> {
    vec![
        format!("--stack={}", stack.name()),
        format!("--interface={}", side.interface()),
        format!("--cores={}", conditions.cores[usize::from(side == Side::Client)]),
        format!("--idle={}", conditions.idle),
    ]
}

fn address(side: Side, index: usize) -> String {
    format!("--address={}/{PREFIX}", side.address(index))
}

fn serve(stack: Stack, workload: &Workload, conditions: &Conditions) -> Vec<String> {
    let mut arguments = vec!["serve".to_owned()];
    arguments.extend(common(stack, Side::Server, conditions));
    arguments.push(format!("--service={}:{PORT}", workload.service()));
    arguments.push(address(Side::Server, 0));
    arguments
}

fn load(
    stack: Stack,
    workload: &Workload,
    conditions: &Conditions,
    sources: usize,
    file: &Path,
) -> Vec<String> {
    let mut arguments = vec!["load".to_owned()];
    arguments.extend(common(stack, Side::Client, conditions));
    arguments.extend(workload.arguments(conditions.request_bytes));
    arguments.extend((0..sources).map(|index| address(Side::Client, index)));
    arguments.push(format!("--target={}:{PORT}", Side::Server.address(0)));
    arguments.push(format!("--duration={}", conditions.duration.as_secs_f64()));
    arguments.push(format!("--histogram={}", file.display()));
    arguments.push("--json".to_owned());
    if conditions.join_fin {
        arguments.push("--join-fin".to_owned());
    }
    arguments
}

/// The files that `load` writes: that of `--histogram`, and one of the teardowns beside it.
fn histograms(workload: &Workload, file: &Path) -> Vec<(&'static str, PathBuf)> {
    let names = workload.latencies().iter();
    names
        .map(|name| match *name {
            "teardown" => (*name, file.with_extension("teardown.hgrm")),
            _ => (*name, file.to_owned()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let remarks = "note: x\npassive-opens-refused: 1\npassive-opens: 42\n";
        assert_eq!(counter(remarks, "passive-opens"), Some(42));
        assert_eq!(counter(remarks, "finished"), None);
    }

    #[test]
    fn longer_runs_get_more_source_addresses() {
        assert_eq!(sources(Duration::from_millis(500)), 13);
        assert_eq!(sources(Duration::from_secs(3)), 32);
        assert_eq!(sources(Duration::from_secs(600)), SOURCES_MAX as usize);
    }
}
