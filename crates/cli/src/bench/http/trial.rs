//! One run: a server at one end of a new veth pair, and a client at the other.

use std::time::Duration;

use super::answer::RESPONSE;
use super::entry::{Client, Entry};
use super::outcome::Outcome;
use super::wrk;
use crate::bench::testbed::{PREFIX, Side, Testbed, TestbedConfig};
use crate::bench::trial::{Conditions, parse};
use crate::bench::workload::PORT;
use crate::failure::Failure;
use crate::netns::{Child, End};
use crate::stop::Stop;

/// Time limit for a server to become ready, and for a client beyond its measurement.
const SLACK: Duration = Duration::from_secs(20);

/// Measures a server with a client once.
///
/// # Errors
/// When the pair cannot be created, either end fails or hangs, or a signal arrives.
pub(super) fn run(
    server: Entry,
    client: Client,
    concurrency: u64,
    conditions: &Conditions,
    stop: &Stop,
) -> Result<Outcome, Failure> {
    let Conditions { cores, napi, duration, .. } = *conditions;
    let kernel_addresses =
        [usize::from(server == Entry::Tokio), usize::from(client == Client::Wrk)];
    let testbed = Testbed::new(&TestbedConfig { cores, napi, kernel_addresses })?;
    let mut serving = Child::spawn(testbed.end(Side::Server), &serve(server, conditions))?;
    serving.await_line(SLACK, stop)?;
    let before = testbed.drops();
    let end = testbed.end(Side::Client);
    let child = match client {
        Client::Load => Child::spawn(end, &load(concurrency, conditions))?,
        Client::Wrk => start_wrk(end, concurrency, conditions)?,
    };
    let (output, _) = child.await_end(duration + SLACK, stop)?;
    let dropped = testbed.drops().since(&before).total();
    serving.finish();
    let outcome = match client {
        Client::Load => of_load(&output)?,
        Client::Wrk => wrk::parse(&output).ok_or_else(|| {
            Failure::new("cannot parse the report of wrk", output, "install wrk 4")
        })?,
    };
    Ok(Outcome { dropped, ..outcome })
}

fn start_wrk(end: &End, concurrency: u64, conditions: &Conditions) -> Result<Child, Failure> {
    let url = format!("http://{}:{PORT}/", Side::Server.address(0));
    Child::spawn_tool(
        end,
        &wrk::command(conditions.cores[1], concurrency, conditions.duration, &url),
    )
}

fn end(side: Side, conditions: &Conditions) -> [String; 4] {
    [
        format!("--interface={}", side.interface()),
        format!("--cores={}", conditions.cores[usize::from(side == Side::Client)]),
        format!("--idle={}", conditions.idle),
        format!("--address={}/{PREFIX}", side.address(0)),
    ]
}

fn serve(server: Entry, conditions: &Conditions) -> Vec<String> {
    let mut arguments = vec!["bench-server".to_owned(), format!("--server={}", server.name())];
    arguments.push(format!("--port={PORT}"));
    arguments.extend(end(Side::Server, conditions));
    arguments
}

fn load(concurrency: u64, conditions: &Conditions) -> Vec<String> {
    let mut arguments = vec!["load".to_owned(), "--pattern=request".to_owned()];
    arguments.push(format!("--http-response-bytes={}", RESPONSE.len()));
    arguments.push(format!("--concurrency={concurrency}"));
    arguments.push(format!("--target={}:{PORT}", Side::Server.address(0)));
    arguments.push(format!("--duration={}", conditions.duration.as_secs_f64()));
    arguments.push("--json".to_owned());
    arguments.extend(end(Side::Client, conditions));
    arguments
}

/// Reads the JSON of `load`.
fn of_load(output: &str) -> Result<Outcome, Failure> {
    let report = serde_json::Value::Object(parse(output)?);
    let number = |path: &str| report.pointer(path).and_then(|it| it.as_f64()).unwrap_or(0.0);
    let causes = report["failed"].as_object();
    let failed = causes.map_or(0, |it| it.values().filter_map(|count| count.as_u64()).sum());
    Ok(Outcome {
        requests_per_second: number("/requests_per_second"),
        p50: number("/request/p50"),
        p99: number("/request/p99"),
        failed,
        dropped: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_read_from_the_json_of_load() {
        let output = r#"{"requests_per_second":5.5,"request":{"p50":7,"p99":9},
            "failed":{"reset":2,"corrupt":1}}"#;
        let outcome =
            Outcome { requests_per_second: 5.5, p50: 7.0, p99: 9.0, failed: 3, dropped: 0 };
        assert_eq!(of_load(output).ok(), Some(outcome));
    }
}
