//! `linerate simulate`: equal seeds give equal worlds; the report, the seed message and the
//! capture.

use std::process::{Command, Output};

use linerate::link::pcap::Reader;
use serde_json::Value;

fn simulate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_linerate"))
        .arg("simulate")
        .args(arguments)
        .output()
        .expect("the binary is built")
}

/// Runs with `--json` and parses standard output, which must be one object and nothing else.
fn report(arguments: &[&str]) -> Value {
    let output = simulate(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one object")
}

#[test]
fn equal_seeds_give_equal_worlds() {
    let of = |seed| report(&["--seed", seed, "--runs", "5"]);
    let (first, repeated, other) = (of("41"), of("41"), of("42"));
    assert_eq!(first["trace"], repeated["trace"]);
    assert_ne!(first["trace"], other["trace"]);
    assert_eq!((&first["seed"], &first["runs"]), (&41.into(), &5.into()));
    assert_eq!(first["failed"], Value::Array(Vec::new()));
    assert!(first["frames"].as_u64() > Some(100) && first["bytes"].as_u64() > Some(0), "{first}");
}

#[test]
fn without_a_seed_one_is_drawn_and_printed() {
    let output = simulate(&[]);
    assert!(output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("1 world, starting with seed "), "{stderr}");
}

#[test]
fn pcap_captures_every_frame_of_one_world() {
    let path = std::env::temp_dir().join(format!("linerate-world-{}.pcap", std::process::id()));
    let file = path.to_str().expect("the path is UTF-8");
    let report = report(&["--seed", "3", "--pcap", file]);
    let frames = Reader::open(&path).expect("a valid capture").count();
    std::fs::remove_file(&path).expect("the capture exists");
    assert_eq!(report["frames"].as_u64(), Some(frames as u64));
    let output = simulate(&["--runs", "2", "--pcap", file]);
    assert_eq!(output.status.code(), Some(2));
}
