//! Failures of `serve`: problems of the host, the interface or the arguments. Each exits with
//! status 1, or 2 for bad usage, and says what failed, why and what to do.

mod support;

use std::process::Command;

use support::{LEFT, LEFT_OWN, Net, cidr, linerate, sh};

/// Runs `serve` with these arguments. Returns exit code and standard error.
fn serve(ns: &str, arguments: &str) -> (Option<i32>, String) {
    run(&mut linerate(ns, &format!("serve {arguments}")))
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the binary runs");
    assert!(output.stdout.is_empty(), "errors go to standard error");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn assert_fails(outcome: (Option<i32>, String), code: i32, words: &[&str]) {
    let (status, text) = outcome;
    assert_eq!(status, Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

fn own() -> String {
    cidr(LEFT_OWN.into())
}

#[test]
fn a_missing_or_non_ethernet_interface_is_refused() {
    let net = Net::new();
    let missing = format!("--interface nosuch0 --address {} --service echo:7", own());
    assert_fails(serve(&net.left(), &missing), 1, &["nosuch0", "ip link"]);
    let loopback = format!("--interface lo --address {} --service echo:7", own());
    assert_fails(serve(&net.left(), &loopback), 1, &["lo", "Ethernet"]);
}

#[test]
fn an_address_in_use_on_the_link_is_refused() {
    // RFC 5227 §2.1.1, RFC 4862 §5.4.5: the kernel on the right defends its address.
    let net = Net::new();
    let mac = sh(&format!("ip netns exec {} cat /sys/class/net/veth0/address", net.right()));
    for address in support::both(support::RIGHT) {
        let request = format!("--interface veth0 --address {} --service echo:7", cidr(address));
        let words = [&*address.to_string(), "address in use by MAC", mac.trim()];
        assert_fails(serve(&net.left(), &request), 1, &words);
    }
}

#[test]
fn more_queues_than_the_interface_has_are_refused() {
    let net = Net::new();
    let request = format!("--interface veth0 --address {} --service echo:7 --queues 0-3", own());
    assert_fails(serve(&net.left(), &request), 1, &["queues", "veth0", "numrxqueues"]);
}

#[test]
fn an_address_that_does_not_fit_the_mode_is_refused() {
    let net = Net::new();
    let kernels = format!("--interface veth0 --address {} --service echo:7", cidr(LEFT.into()));
    assert_fails(serve(&net.left(), &kernels), 1, &["10.91.0.1", "--mode shared"]);
    let foreign = format!("--mode shared --interface veth0 --address {} --service echo:7", own());
    assert_fails(serve(&net.left(), &foreign), 1, &["10.91.0.11", "ip addr add"]);
}

#[test]
fn a_port_of_the_kernel_is_refused_in_shared_mode() {
    let net = Net::new();
    let listener = net.on_left(|| std::net::TcpListener::bind((LEFT, 7000)).expect("a free port"));
    let request = format!(
        "--mode shared --interface veth0 --address {} --service echo:7000",
        cidr(LEFT.into())
    );
    assert_fails(serve(&net.left(), &request), 1, &["7000", "kernel"]);
    drop(listener);
}

#[test]
fn a_queue_in_use_by_another_server_is_refused() {
    let net = Net::new();
    let _first = net.serve(&format!("--address {} --service echo:7", own()));
    let request = format!("--interface veth0 --address {} --service echo:8", own());
    assert_fails(serve(&net.left(), &request), 1, &["veth0"]);
    // The first server still works.
    net.on_right(|| drop(support::connect((LEFT_OWN, 7).into())));
}

#[test]
fn missing_privileges_are_reported() {
    let net = Net::new();
    let mut command = Command::new("ip");
    command.args([
        "netns",
        "exec",
        &net.left(),
        "setpriv",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]);
    command.arg(env!("CARGO_BIN_EXE_linerate"));
    let request = format!("serve --interface veth0 --address {} --service echo:7", own());
    command.args(request.split_whitespace());
    assert_fails(run(&mut command), 1, &["root"]);
}

#[test]
fn a_missing_core_is_refused() {
    let net = Net::new();
    let request = format!("--interface veth0 --address {} --service echo:7 --cores 4000", own());
    assert_fails(serve(&net.left(), &request), 1, &["4000", "core"]);
}

#[test]
fn wrong_arguments_are_bad_usage() {
    let net = Net::new();
    for (request, word) in [
        ("--interface veth0 --service echo:7", "--address"),
        ("--interface veth0 --address nonsense --service echo:7", "nonsense"),
        ("--interface veth0 --address 10.91.0.11/24 --service teapot:7", "teapot"),
        ("--interface veth0 --address 10.91.0.11/24 --service echo:7 --impair loss=200%", "200%"),
        ("--interface veth0 --address 10.91.0.11/24", "--service"),
    ] {
        assert_fails(serve(&net.left(), request), 2, &[word]);
    }
}

#[test]
fn the_server_exits_when_its_interface_is_removed() {
    let net = Net::new();
    let mut server = net.serve(&format!("--address {} --service echo:7", own()));
    sh(&format!("ip -n {} link del veth0", net.left()));
    support::eventually("the server exits", || server.exited().is_some());
    assert_eq!(server.exited(), Some(1));
}
