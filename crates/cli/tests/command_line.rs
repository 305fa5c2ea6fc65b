//! The contract of the command line: exit statuses, help, and errors with a remedy.

use std::process::{Command, Output};

fn linerate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_linerate"))
        .args(arguments)
        .output()
        .expect("the binary is built")
}

fn fails(status: i32, arguments: &[&str], words: &[&str]) {
    let output = linerate(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{arguments:?}: errors go to standard error");
    for word in words {
        assert!(stderr.contains(word), "{arguments:?}: no `{word}` in: {stderr}");
    }
}

#[test]
fn every_subcommand_has_help_that_lists_its_options() {
    for (subcommand, words) in [
        (
            "serve",
            &[
                "--service",
                "--address",
                "--queues",
                "unshare -rn",
                "--tap-address",
                "ready",
                "Examples:",
            ][..],
        ),
        ("check", &["--interface", "--json", "Examples:"]),
        ("trace", &["--read", "--svg", "--json", "Examples:"]),
        ("simulate", &["--seed", "--runs", "--pcap", "--json", "Examples:"]),
        ("load", &["--pattern", "--target", "--histogram", "--json", "Examples:"]),
    ] {
        let output = linerate(&[subcommand, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for word in words {
            assert!(text.contains(word), "{subcommand} --help has no `{word}`");
        }
    }
    assert!(String::from_utf8_lossy(&linerate(&["--help"]).stdout).contains("Exit status"));
}

#[test]
fn bad_usage_exits_with_2_and_says_why() {
    fails(2, &[], &["Usage"]);
    fails(2, &["fly"], &["fly"]);
    fails(2, &["serve", "--service", "echo:7"], &["--interface", "to do:"]);
    fails(2, &["serve", "--stack", "kernel", "--service", "smtp:25"], &["echo, discard"]);
    fails(2, &["serve", "--service", "echo:7", "--interface", "lo"], &["--address", "to do:"]);
    fails(2, &["serve", "--stack", "kernel"], &["--service"]);
    let tap = ["serve", "--service", "echo:7", "--link", "tap", "--address", "10.9.8.2/24"];
    fails(2, &[&tap[..], &["--set-rss"]].concat(), &["--set-rss with --link tap", "to do:"]);
    fails(2, &[&tap[..], &["--mode", "shared"]].concat(), &["--mode shared", "to do:"]);
    fails(2, &[&tap[..], &["--stack", "kernel"]].concat(), &["--link tap", "to do:"]);
    let xdp = ["serve", "--service", "echo:7", "--interface", "lo", "--address", "10.9.8.2/24"];
    fails(2, &[&xdp[..], &["--tap-address", "10.9.8.1/24"]].concat(), &["--link tap", "to do:"]);
    let serve = ["serve", "--stack", "kernel", "--service", "echo:7001"];
    fails(2, &[&serve[..], &["--service", "http:7001"]].concat(), &["7001", "to do:"]);
    fails(2, &[&serve[..], &["--pcap", "x.pcap"]].concat(), &["--pcap", "to do:"]);
    fails(2, &[&serve[..], &["--queues", "0-1", "--cores", "0"]].concat(), &["--cores", "to do:"]);
    fails(2, &[&serve[..], &["--address", "10.0.0.1/40"]].concat(), &["32"]);
    let load = ["load", "--stack", "kernel", "--target", "127.0.0.1:9"];
    fails(2, &load, &["--pattern"]);
    let request = [&load[..], &["--pattern", "request"]].concat();
    fails(2, &[&request[..], &["--request-bytes", "0"]].concat(), &["--request-bytes"]);
    fails(2, &[&request[..], &["--address", "::1/128"]].concat(), &["family", "to do:"]);
    fails(2, &[&request[..], &["--duration", "-1"]].concat(), &[]);
}

#[test]
fn runtime_failures_exit_with_1_and_say_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback interface is up");
    let port = taken.local_addr().expect("it is bound").port();
    let service = format!("echo:{port}");
    let serve = ["serve", "--stack", "kernel", "--address", "127.0.0.1", "--service", &service];
    fails(1, &serve, &["cannot listen on 127.0.0.1", "in use", "to do:"]);
    let elsewhere = ["serve", "--stack", "kernel", "--address", "192.0.2.1", "--service", "echo:7"];
    fails(1, &elsewhere, &["192.0.2.1", "ip addr add"]);
    let file = ["serve", "--stack", "kernel", "--service", "http:7002", "--file", "/nonexistent"];
    fails(1, &file, &["/nonexistent", "to do:"]);
    let device = ["serve", "--stack", "kernel", "--service", "http:7002", "--file", "/dev/zero"];
    fails(1, &device, &["cannot read /dev/zero", "not a regular file", "to do:"]);
}

#[test]
fn check_reports_the_host_and_rejects_an_invalid_interface() {
    let output = linerate(&["check", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert!(object["ready"].is_boolean() && object["interface"].is_null());
    for name in
        ["kernel", "af_xdp", "privileges", "xdp_program", "memlock", "huge_pages", "busy_polling"]
    {
        let finding = &object["host"][name];
        assert!(finding["value"].is_string(), "{name}: {finding}");
        assert_eq!(finding["hint"].is_null(), finding["grade"] == "good", "{name}: {finding}");
    }
    fails(1, &["check", "--interface", "nonesuch0"], &["nonesuch0", "ip link", "to do:"]);
    fails(1, &["check", "--interface", "lo"], &["lo", "to do:"]);
}
