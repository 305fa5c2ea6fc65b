//! What can be wrong with a host, an interface or a request: each is refused with a word on what was
//! tried, what went wrong and what to do, exit status 1 (or 2 for bad usage), and nothing stays behind.

mod support;

use std::process::Command;

use support::{LEFT, LEFT_OWN, Net, cidr, linerate, sh};

/// Runs `serve` with these arguments; its exit code and what it said.
fn refused(ns: &str, arguments: &str) -> (Option<i32>, String) {
    said(&mut linerate(ns, &format!("serve {arguments}")))
}

fn said(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("the binary runs");
    assert!(output.stdout.is_empty(), "standard output is for `ready` and reports alone");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[track_caller]
fn tells(outcome: (Option<i32>, String), code: i32, words: &[&str]) {
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
fn an_interface_that_is_not_there_or_carries_no_ethernet() {
    let net = Net::new();
    let missing = format!("--interface nosuch0 --address {} --service echo:7", own());
    tells(refused(&net.left(), &missing), 1, &["nosuch0", "ip link"]);
    let loopback = format!("--interface lo --address {} --service echo:7", own());
    tells(refused(&net.left(), &loopback), 1, &["lo", "Ethernet"]);
}

#[test]
fn an_address_that_a_host_on_the_link_has() {
    // RFC 5227 §2.1.1, RFC 4862 §5.4.5: the kernel on the right answers for its own.
    let net = Net::new();
    let mac = sh(&format!("ip netns exec {} cat /sys/class/net/veth0/address", net.right()));
    for address in support::both(support::RIGHT) {
        let request = format!("--interface veth0 --address {} --service echo:7", cidr(address));
        let words = [&*address.to_string(), "address in use by MAC", mac.trim()];
        tells(refused(&net.left(), &request), 1, &words);
    }
}

#[test]
fn too_few_queues() {
    let net = Net::new();
    let request = format!("--interface veth0 --address {} --service echo:7 --queues 0-3", own());
    tells(refused(&net.left(), &request), 1, &["queues", "veth0", "numrxqueues"]);
}

#[test]
fn an_address_of_the_kernel_in_exclusive_mode_and_a_foreign_one_in_shared_mode() {
    let net = Net::new();
    let kernels = format!("--interface veth0 --address {} --service echo:7", cidr(LEFT.into()));
    tells(refused(&net.left(), &kernels), 1, &["10.91.0.1", "--mode shared"]);
    let foreign = format!("--mode shared --interface veth0 --address {} --service echo:7", own());
    tells(refused(&net.left(), &foreign), 1, &["10.91.0.11", "ip addr add"]);
}

#[test]
fn a_port_on_which_the_kernel_listens_in_shared_mode() {
    let net = Net::new();
    let listener = net.on_left(|| std::net::TcpListener::bind((LEFT, 7000)).expect("a free port"));
    let request = format!(
        "--mode shared --interface veth0 --address {} --service echo:7000",
        cidr(LEFT.into())
    );
    tells(refused(&net.left(), &request), 1, &["7000", "kernel"]);
    drop(listener);
}

#[test]
fn a_queue_that_another_server_has() {
    let net = Net::new();
    let _first = net.serve(&format!("--address {} --service echo:7", own()));
    let request = format!("--interface veth0 --address {} --service echo:8", own());
    tells(refused(&net.left(), &request), 1, &["veth0"]);
    // The first one is unharmed.
    net.on_right(|| drop(support::connect((LEFT_OWN, 7).into())));
}

#[test]
fn missing_privileges() {
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
    tells(said(&mut command), 1, &["root"]);
}

#[test]
fn a_core_that_is_not_there() {
    let net = Net::new();
    let request = format!("--interface veth0 --address {} --service echo:7 --cores 4000", own());
    tells(refused(&net.left(), &request), 1, &["4000", "core"]);
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
        tells(refused(&net.left(), request), 2, &[word]);
    }
}

#[test]
fn an_interface_that_vanishes_while_it_serves() {
    let net = Net::new();
    let mut server = net.serve(&format!("--address {} --service echo:7", own()));
    sh(&format!("ip -n {} link del veth0", net.left()));
    support::eventually("it ends by itself", || server.exited().is_some());
    assert_eq!(server.exited(), Some(1));
}
