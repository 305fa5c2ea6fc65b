//! Jumbo frames of 9,000 bytes over a veth pair: several descriptors on the rings, one segment for
//! TCP.

mod support;

use std::net::SocketAddr;

use support::{LEFT, LEFT_OWN, Net, RIGHT_OWN, both, cidr, linerate_json, sh, v6};

const BYTES: u64 = 20 << 20;

fn jumbo() -> Net {
    let net = Net::new();
    // `Net` turns the transmit offloads off, so that the kernel sends segments of the MTU.
    for ns in [net.left(), net.right()] {
        sh(&format!("ip netns exec {ns} ip link set veth0 mtu 9000"));
    }
    net
}

fn own(v4: std::net::Ipv4Addr) -> String {
    format!("--address {} --address {}", cidr(v4.into()), cidr(v6(v4).into()))
}

/// Echoes requests of [`BYTES`] over both address families and checks the report.
fn echoes(net: &Net, stack: &str, target: std::net::Ipv4Addr) -> serde_json::Value {
    let targets: String =
        both(target).iter().map(|ip| format!("--target {} ", SocketAddr::new(*ip, 7))).collect();
    let report = linerate_json(
        &net.right(),
        &format!(
            "load {stack} {targets} --pattern request --request-bytes {BYTES} --connections 2 \
             --concurrency 2 --grace 20 --json"
        ),
    );
    assert_eq!(report["failed"], serde_json::json!({}), "{report}");
    assert_eq!(report["requests"], 2, "{report}");
    assert_eq!(report["bytes_received"], 2 * BYTES, "{report}");
    report
}

/// Returns the mean size in bytes of the packets that a namespace has sent.
fn mean_packet(ns: &str) -> u64 {
    let shown: serde_json::Value =
        serde_json::from_str(&sh(&format!("ip netns exec {ns} ip -s -j link show veth0")))
            .expect("JSON");
    let sent = &shown[0]["stats64"]["tx"];
    sent["bytes"].as_u64().expect("a counter") / sent["packets"].as_u64().expect("a counter").max(1)
}

#[test]
fn two_linerate_stacks_exchange_jumbo_segments() {
    let net = jumbo();
    let _server = net.serve(&format!("{} --service echo:7", own(LEFT_OWN)));
    echoes(&net, &format!("--interface veth0 {}", own(RIGHT_OWN)), LEFT_OWN);
    // Data flows in both directions, and most ACKs travel with data.
    assert!(mean_packet(&net.left()) > 3000, "{}", mean_packet(&net.left()));
}

#[test]
fn the_kernel_and_linerate_exchange_jumbo_segments() {
    let net = jumbo();
    let server = net.serve(&format!("{} --service echo:7", own(LEFT_OWN)));
    echoes(&net, "--stack kernel", LEFT_OWN);
    assert!(mean_packet(&net.left()) > 3000, "{}", mean_packet(&net.left()));
    drop(server);
    let mut kernel = support::linerate(&net.left(), "serve --stack kernel --service echo:7");
    let mut kernel = kernel.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    support::eventually("the kernel's server listens", || {
        sh(&format!("ip netns exec {} ss -Htln", net.left())).contains(":7 ")
    });
    echoes(&net, &format!("--interface veth0 {}", own(RIGHT_OWN)), LEFT);
    kernel.kill().expect("it runs");
    kernel.wait().expect("it was killed");
}
