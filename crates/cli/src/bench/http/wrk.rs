//! wrk, the client over kernel sockets: its arguments and its report.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::outcome::Outcome;

/// Returns true if wrk is installed.
pub(super) fn is_installed() -> bool {
    let mut command = Command::new("wrk");
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

/// Returns the command: wrk with one thread, pinned to `core`. It measures whole seconds.
pub(super) fn command(core: usize, connections: u64, duration: Duration, url: &str) -> Vec<String> {
    let seconds = duration.as_secs_f64().round().max(1.0);
    format!("taskset -c {core} wrk -t1 -c{connections} -d{seconds}s --latency {url}")
        .split(' ')
        .map(str::to_owned)
        .collect()
}

/// Parses the report; `None` if it is not one.
pub(super) fn parse(output: &str) -> Option<Outcome> {
    let after =
        |name: &str| output.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let counts = |name: &str| -> u64 {
        let numbers = after(name).unwrap_or_default();
        numbers.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok()).sum()
    };
    Some(Outcome {
        requests_per_second: after("Requests/sec:")?.parse().ok()?,
        p50: nanos(after("50%")?)?,
        p99: nanos(after("99%")?)?,
        failed: counts("Socket errors:") + counts("Non-2xx or 3xx responses:"),
        dropped: 0,
    })
}

/// Parses a time such as `87.00us` into nanoseconds.
fn nanos(text: &str) -> Option<f64> {
    let at = text.find(|it: char| it.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(at);
    let scale = match unit {
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 2s test @ http://10.77.0.1:7009/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    90.12us   40.10us   1.99ms   95.00%
    Req/Sec   150.10k     5.30k  160.20k    70.00%
  Latency Distribution
     50%   87.00us
     75%  100.00us
     90%  120.00us
     99%    1.25ms
  300000 requests in 2.00s, 25.46MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 4
Requests/sec: 149876.54
Transfer/sec:     12.72MB
";

    #[test]
    fn rate_percentiles_and_errors_are_read_from_the_report() {
        let outcome = Outcome {
            requests_per_second: 149_876.54,
            p50: 87e3,
            p99: 1.25e6,
            failed: 7,
            dropped: 0,
        };
        assert_eq!(parse(REPORT), Some(outcome));
        assert_eq!(parse("unable to connect to 10.77.0.1:7009 Connection refused\n"), None);
    }

    #[test]
    fn durations_are_whole_seconds_and_at_least_one() {
        let line = |millis| command(1, 16, Duration::from_millis(millis), "http://a/").join(" ");
        assert_eq!(line(200), "taskset -c 1 wrk -t1 -c16 -d1s --latency http://a/");
        assert!(line(2600).contains("-d3s"));
    }
}
