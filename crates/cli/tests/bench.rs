//! `linerate bench` as a program: the JSON contract, and cleanup however it ends. Fails without
//! root and two cores.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_linerate"));
    command.arg("bench").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the command lines that contain the interface of the bench process `pid`.
fn children_of(pid: u32) -> Vec<String> {
    let needle = format!("--interface=b{}", pid % 100_000);
    let all = std::fs::read_dir("/proc").expect("procfs").flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| text(&line)).filter(|line| line.contains(&needle)).collect()
}

fn namespaces() -> String {
    text(&Command::new("ip").args(["netns", "list"]).output().expect("iproute2").stdout)
}

fn interfaces() -> String {
    text(&Command::new("ip").args(["-o", "link"]).output().expect("iproute2").stdout)
}

fn assert_cleaned_up(pid: u32) {
    assert_eq!(children_of(pid), Vec::<String>::new());
    assert!(!interfaces().contains(&format!("b{}", pid % 100_000)));
    assert!(!namespaces().contains(&format!("linerate-{pid}-")));
    let folder = std::env::temp_dir().join(format!("linerate-bench-{pid}"));
    assert!(!folder.exists(), "{} still exists", folder.display());
}

fn number(value: &Value, path: &str) -> f64 {
    value
        .pointer(path)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number {path}: {value:#}"))
}

fn check_pattern(report: &Value, name: &str, rate: &str) {
    let pattern = report.pointer(&format!("/patterns/{name}")).expect("the report has the pattern");
    assert!(number(pattern, "/ratio_to_kernel") > 0.0);
    assert!(number(pattern, "/share_of_ceiling") > 0.0);
    for stack in ["linerate", "kernel"] {
        let median = &pattern[stack];
        assert_eq!((&median["stack"], &median["pattern"]), (&stack.into(), &name.into()));
        assert!(number(median, &format!("/{rate}")) > 0.0);
        assert_eq!(median["failed"], serde_json::json!({}), "{stack} {name}");
        let runs = median["runs"].as_array().expect("a list of runs");
        assert_eq!((runs.len(), &runs[0][rate]), (1, &median[rate]));
        assert!(runs[0]["device_drops"]["client_tx"].is_u64());
    }
}

#[test]
fn json_matches_the_contract_and_the_run_cleans_up() {
    let folder = std::env::temp_dir().join(format!("linerate-bench-test-{}", std::process::id()));
    let child = bench(&[
        "--duration=0.5",
        "--runs=1",
        "--json",
        "--report",
        folder.to_str().expect("text"),
    ]);
    let pid = child.id();
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    assert!(status.success(), "(needs root and two cores) {}", text(&stderr));
    let report: Value = serde_json::from_slice(&stdout).expect("one JSON object and nothing else");
    let echoes = report["ceiling"]["echo"].as_array().expect("by batch");
    let batches: Vec<_> = echoes.iter().filter_map(|echo| echo["batch"].as_u64()).collect();
    assert_eq!(batches, [1, 16, 64, 256]);
    for echo in echoes {
        assert!(
            number(echo, "/round_trips_per_second") > 0.0 && number(echo, "/latency/p50") > 0.0
        );
    }
    assert!(number(&report, "/ceiling/connections_per_second") > 0.0);
    assert_eq!(report["ceiling"]["segments"], 7);
    assert!(number(&report, "/ceiling/joined/connections_per_second") > 0.0);
    let segments = number(&report, "/patterns/connect/linerate/segments_per_connection");
    assert!((4.9..=7.5).contains(&segments), "{segments}");
    check_pattern(&report, "connect", "connections_per_second");
    check_pattern(&report, "request", "requests_per_second");
    assert!(number(&report, "/patterns/request/single/linerate/request/p99") > 0.0);
    for file in ["report.json", "connect-linerate-1.hgrm", "connect-kernel-1.teardown.hgrm"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    std::fs::remove_dir_all(&folder).expect("the report directory exists");
    assert_cleaned_up(pid);
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
}

#[test]
fn hyper_is_compared_on_three_servers_with_two_clients() {
    let child = bench(&["--patterns=hyper", "--quick", "--concurrency=4", "--json"]);
    let pid = child.id();
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    assert!(status.success(), "(needs root and two cores) {}", text(&stderr));
    let report: Value = serde_json::from_slice(&stdout).expect("one JSON object and nothing else");
    assert_eq!(report["patterns"], serde_json::json!({}));
    assert!(number(&report, "/ceiling/connections_per_second") > 0.0);
    let hyper = &report["hyper"];
    assert_eq!(hyper["concurrency"], 4);
    for client in ["load", "wrk"] {
        if client == "wrk" && !is_installed("wrk") {
            assert_eq!(hyper[client], Value::Null);
            continue;
        }
        for server in ["linerate", "tokio", "callbacks"] {
            let row = &hyper[client][server];
            for key in ["requests_per_second", "p50", "p99", "ratio_to_tokio"] {
                assert!(number(row, &format!("/{key}")) > 0.0, "{client} {server} {key}");
            }
            assert_eq!(
                (&row["failed"], row["runs"].as_array().map(Vec::len)),
                (&0.into(), Some(1))
            );
        }
        assert_eq!(number(&hyper[client], "/tokio/ratio_to_tokio"), 1.0);
    }
    assert_cleaned_up(pid);
}

#[test]
fn sigterm_stops_the_run_and_cleans_up() {
    let child = bench(&["--duration=20", "--runs=1", "--patterns=connect"]);
    let pid = child.id();
    let until = Instant::now() + Duration::from_secs(30);
    while children_of(pid).is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(pid as i32), Signal::SIGTERM).expect("the process runs");
    let Output { status, stderr, .. } = child.wait_with_output().expect("it ends");
    assert_eq!(status.code(), Some(1), "{}", text(&stderr));
    assert!(text(&stderr).contains("received a signal"), "{}", text(&stderr));
    assert_cleaned_up(pid);
}

#[test]
fn sigkill_also_ends_the_children() {
    let mut child = bench(&["--duration=20", "--runs=1", "--patterns=connect"]);
    let pid = child.id();
    let wait_until = |done: fn(u32) -> bool| {
        let until = Instant::now() + Duration::from_secs(30);
        while !done(pid) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_until(|pid| !children_of(pid).is_empty());
    child.kill().expect("the process runs");
    child.wait().expect("the process exits");
    wait_until(|pid| children_of(pid).is_empty());
    assert_eq!(children_of(pid), Vec::<String>::new());
    let _ = std::fs::remove_dir_all(std::env::temp_dir().join(format!("linerate-bench-{pid}")));
}

#[test]
fn a_single_core_is_bad_usage() {
    let output = bench(&["--cores=0"]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--cores"), "{}", text(&output.stderr));
}
