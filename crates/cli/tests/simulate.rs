//! `linerate simulate`: the same seed is the same world, and what it tells is of use.

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

/// Its report, standard output being one object and nothing else.
fn report(arguments: &[&str]) -> Value {
    let output = simulate(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one object")
}

#[test]
fn the_same_seeds_are_the_same_worlds() {
    let of = |seed| report(&["--seed", seed, "--runs", "5"]);
    let (first, again, other) = (of("41"), of("41"), of("42"));
    assert_eq!(first["trace"], again["trace"]);
    assert_ne!(first["trace"], other["trace"]);
    assert_eq!((&first["seed"], &first["runs"]), (&41.into(), &5.into()));
    assert_eq!(first["failed"], Value::Array(Vec::new()));
    assert!(first["frames"].as_u64() > Some(100) && first["bytes"].as_u64() > Some(0), "{first}");
}

#[test]
fn without_a_seed_one_is_drawn_and_told() {
    let output = simulate(&[]);
    assert!(output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("1 world of seed "), "{told}");
}

#[test]
fn a_world_can_be_recorded() {
    let path = std::env::temp_dir().join(format!("linerate-world-{}.pcap", std::process::id()));
    let file = path.to_str().expect("a plain name");
    let told = report(&["--seed", "3", "--pcap", file]);
    let frames = Reader::open(&path).expect("a capture").count();
    std::fs::remove_file(&path).expect("it was made");
    assert_eq!(told["frames"].as_u64(), Some(frames as u64));
    let output = simulate(&["--runs", "2", "--pcap", file]);
    assert_eq!(output.status.code(), Some(2));
}
