//! Frames of 9,000 bytes over a real veth pair: they are several descriptors on the rings, and one segment to TCP.

mod support;

use std::net::SocketAddr;

use support::{LEFT, LEFT_OWN, Net, RIGHT_OWN, both, cidr, linerate_json, sh, v6};

const BYTES: u64 = 20 << 20;

fn jumbo() -> Net {
    let net = Net::new();
    // Peers that leave segments of 64 KiB to an offload would have them cut on the way, not sent.
    for ns in [net.left(), net.right()] {
        sh(&format!("ip netns exec {ns} ip link set veth0 mtu 9000"));
    }
    net
}

fn own(v4: std::net::Ipv4Addr) -> String {
    format!("--address {} --address {}", cidr(v4.into()), cidr(v6(v4).into()))
}

/// Requests of [`BYTES`] echoed intact over both families; the mean payload of the segments that went out must be
/// beyond any frame of 1,500 bytes.
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

/// Bytes that a packet took on the average, which left the interface of a namespace.
fn mean_packet(ns: &str) -> u64 {
    let shown: serde_json::Value =
        serde_json::from_str(&sh(&format!("ip netns exec {ns} ip -s -j link show veth0")))
            .expect("JSON");
    let sent = &shown[0]["stats64"]["tx"];
    sent["bytes"].as_u64().expect("a counter") / sent["packets"].as_u64().expect("a counter").max(1)
}

#[test]
fn two_stacks_of_ours_exchange_segments_of_nine_thousand_bytes() {
    let net = jumbo();
    let _server = net.serve(&format!("{} --service echo:7", own(LEFT_OWN)));
    echoes(&net, &format!("--interface veth0 {}", own(RIGHT_OWN)), LEFT_OWN);
    // Data goes both ways, and an acknowledgement with most of it.
    assert!(mean_packet(&net.left()) > 3000, "{}", mean_packet(&net.left()));
}

#[test]
fn the_kernel_gives_and_takes_them_too() {
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
