//! One run on one stack: this program as `serve` at one end of a new veth pair and as `load` at the
//! other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::testbed::{Drops, Napi, PREFIX, Side, Testbed, TestbedConfig};
use super::workload::{PORT, Workload};
use crate::failure::Failure;
use crate::load::Pattern;
use crate::netns::Child;
use crate::options::Stack;
use crate::stop::Stop;

/// Time limit for a server to become ready, and for a client beyond its measurement (ramp and
/// drain).
const SLACK: Duration = Duration::from_secs(20);

/// Opens per second and ports per address, both approximate, from which the number of client
/// addresses is derived. A TIME-WAIT occupies its port for longer than a run lasts, and both stacks
/// slow down while they search for the last free ports.
const OPENS_PER_SECOND_MAX: u64 = 200_000;
const PORTS_PER_ADDRESS: u64 = 32_000;

/// Maximum number of client addresses: fewer than a shard can hold.
const SOURCES_MAX: u64 = 128;

/// Conditions that all runs share.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// Cores of the server and the client.
    pub cores: [usize; 2],
    /// Delivery mode of the veth pair.
    pub napi: Napi,
    /// Idle policy of the workers, the same on both stacks.
    pub idle: &'static str,
    /// Length of the measurement.
    pub duration: Duration,
    /// Size of a request and of its response.
    pub request_bytes: u64,
    /// The client closes in the same turn that the connection opens.
    pub join_fin: bool,
    /// Directory for histograms.
    pub folder: PathBuf,
}

/// Result of a run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The JSON of `load`, extended with the counts of the interfaces.
    pub report: Map<String, Value>,
    /// Packets that the interfaces dropped.
    pub drops: Drops,
    /// Standard error of both ends.
    pub log: String,
    /// Latency histogram files by name.
    pub histograms: Vec<(&'static str, PathBuf)>,
}

impl Run {
    /// Returns a number from the report; zero if it is missing.
    pub(super) fn number(&self, key: &str) -> f64 {
        self.report.get(key).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// Returns the segments per connection; only for the connect pattern.
    pub(super) fn segments(&self) -> Option<f64> {
        self.report.get("segments_per_connection").and_then(Value::as_f64)
    }

    /// Returns the total number of failed connections.
    pub(super) fn failed(&self) -> u64 {
        let causes = self.report.get("failed").and_then(Value::as_object);
        causes.map_or(0, |causes| causes.values().filter_map(Value::as_u64).sum())
    }
}

/// Runs a workload once on a stack.
///
/// # Errors
/// When the pair cannot be created, either end fails or hangs, or a signal arrives.
pub(super) fn run(
    stack: Stack,
    workload: &Workload,
    conditions: &Conditions,
    number: usize,
    stop: &Stop,
) -> Result<Run, Failure> {
    let sources = sources(conditions.duration);
    let kernel_addresses = if stack == Stack::Kernel { [1, sources] } else { [0; 2] };
    let Conditions { cores, napi, duration, .. } = *conditions;
    let testbed = Testbed::new(&TestbedConfig { cores, napi, kernel_addresses })?;
    let mut server = Child::spawn(testbed.end(Side::Server), &serve(stack, workload, conditions))?;
    server.await_line(SLACK, stop)?;
    let before = testbed.drops();
    let packets_before = testbed.packets();
    let file =
        conditions.folder.join(format!("{}-{}-{number}.hgrm", workload.name(), stack.name()));
    let arguments = load(stack, workload, conditions, sources, &file);
    let client = Child::spawn(testbed.end(Side::Client), &arguments)?;
    let (output, client_log) = client.await_end(duration + SLACK, stop)?;
    let drops = testbed.drops().since(&before);
    let packets = testbed.packets() - packets_before;
    let server_log = server.finish();
    let mut report = parse(&output)?;
    let served = match stack {
        Stack::Linerate => counter(&server_log, "passive-opens"),
        Stack::Kernel => testbed.passive_opens(),
    };
    if let (Pattern::Connect, Some(served @ 1..)) = (workload.pattern, served) {
        report.insert("segments_per_connection".into(), (packets as f64 / served as f64).into());
    }
    report.insert("device_drops".into(), serde_json::json!(drops));
    let log = format!("serve:\n{server_log}load:\n{client_log}");
    Ok(Run { report, drops, log, histograms: histograms(workload, &file) })
}

/// Returns the number of source addresses that a run needs so that neither stack runs out of ports.
fn sources(duration: Duration) -> usize {
    let seconds = duration.as_secs() + 2;
    (seconds * OPENS_PER_SECOND_MAX).div_ceil(PORTS_PER_ADDRESS).clamp(8, SOURCES_MAX) as usize
}

/// Returns a counter that `serve` prints when it ends.
fn counter(log: &str, name: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line?.trim().parse().ok()
}

/// Parses the JSON of `load`.
///
/// # Errors
/// When it is not an object.
pub(super) fn parse(output: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(output).map_err(|error| {
        Failure::new("cannot parse the JSON of `linerate load`", error, "report this as a bug")
    })
}

/// Returns the arguments that both ends share.
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

/// Returns the files that `load` writes: that of `--histogram`, and the teardown histogram beside
/// it.
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
    fn counter_matches_the_whole_name() {
        let log = "note: x\npassive-opens-refused: 1\npassive-opens: 42\n";
        assert_eq!(counter(log, "passive-opens"), Some(42));
        assert_eq!(counter(log, "finished"), None);
    }

    #[test]
    fn longer_runs_get_more_source_addresses() {
        assert_eq!(sources(Duration::from_millis(500)), 13);
        assert_eq!(sources(Duration::from_secs(3)), 32);
        assert_eq!(sources(Duration::from_secs(600)), SOURCES_MAX as usize);
    }
}
