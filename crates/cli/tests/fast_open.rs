//! TCP Fast Open (RFC 7413) against the kernel over a veth pair, in both directions.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use support::{LEFT, LEFT_OWN, Net, RIGHT_OWN, both, cidr, linerate, sh, v6};

/// Enables Fast Open for clients and servers of the kernel in a namespace.
fn enable_in_kernel(ns: &str) {
    sh(&format!("ip netns exec {ns} sysctl -qw net.ipv4.tcp_fastopen=3"));
}

/// Returns a counter of the kernel in a namespace.
fn counted(ns: &str, name: &str) -> u64 {
    let text = sh(&format!("ip netns exec {ns} nstat -asz {name}"));
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).expect("a count")
}

/// Connects with a kernel socket, sends `request` in the SYN if the kernel has a cookie, and reads
/// the echo.
fn exchange(target: SocketAddr, request: &[u8]) {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))
        .expect("a socket");
    setsockopt(&socket, sockopt::TcpFastOpenConnect, &true).expect("net.ipv4.tcp_fastopen has 1");
    socket.connect(&target.into()).expect("connects, now or with the first write");
    let mut stream = TcpStream::from(socket);
    stream.write_all(request).expect("the request is sent");
    let mut answer = vec![0; request.len()];
    stream.read_exact(&mut answer).expect("the echo arrives");
    assert!(answer == request);
}

#[test]
fn the_kernel_sends_data_in_the_syn_once_it_has_our_cookie() {
    // RFC 7413 §4.2.1, §4.2.2
    let net = Net::new();
    enable_in_kernel(&net.right());
    let addresses =
        format!("--address {} --address {}", cidr(LEFT_OWN.into()), cidr(v6(LEFT_OWN).into()));
    let _server = net.serve(&format!("{addresses} --service echo:7 --fast-open"));
    for address in both(LEFT_OWN) {
        let before = counted(&net.right(), "TcpExtTCPFastOpenActive");
        net.on_right(move || {
            for size in [1, 100, 1400, 5000] {
                exchange(SocketAddr::new(address, 7), &vec![size as u8; size]);
            }
        });
        let accepted = counted(&net.right(), "TcpExtTCPFastOpenActive") - before;
        assert_eq!(accepted, 3, "all but the first, via {address}");
        assert_eq!(counted(&net.right(), "TcpExtTCPFastOpenActiveFail"), 0);
    }
}

/// Runs `load` from linerate to the kernel's sockets on the left, one connection after the other.
/// Returns the JSON of one run and the log of another.
fn loads(net: &Net, target: IpAddr, connections: u32) -> (serde_json::Value, String) {
    let own = if target.is_ipv4() { RIGHT_OWN.into() } else { v6(RIGHT_OWN).into() };
    let target = SocketAddr::new(target, 7);
    let arguments = format!(
        "load --interface veth0 --address {} --target {target} --pattern request --fast-open \
         --concurrency 1 --connections {connections} --request-bytes 700",
        cidr(own)
    );
    let json = linerate(&net.right(), &format!("{arguments} --json")).output().expect("it runs");
    let text = linerate(&net.right(), &arguments).output().expect("it runs");
    let log = String::from_utf8_lossy(&text.stderr).into_owned();
    assert!(json.status.success() && text.status.success(), "{log}");
    (serde_json::from_slice(&json.stdout).expect("one object"), log)
}

#[test]
fn we_send_data_in_the_syn_once_we_have_the_kernels_cookie() {
    // RFC 7413 §4.2.1, §4.2.2
    let net = Net::new();
    enable_in_kernel(&net.left());
    let arguments = "--stack kernel --service echo:7 --fast-open";
    let _server = net.serve(arguments);
    for address in both(LEFT) {
        let before = counted(&net.left(), "TcpExtTCPFastOpenPassive");
        let (json, log) = loads(&net, address, 10);
        assert_eq!((&json["connections_completed"], &json["requests"]), (&10.into(), &10.into()));
        assert_eq!(json["failed"], serde_json::json!({}), "{json}");
        // Two runs, each with a new stack that starts without a cookie.
        let accepted = counted(&net.left(), "TcpExtTCPFastOpenPassive") - before;
        assert_eq!(accepted, 18, "via {address}: {log}");
        assert!(log.contains("fast-open-taken: 9"), "{log}");
    }
}

#[test]
fn fast_open_is_off_by_default() {
    // RFC 7413 §4.2: off by default.
    let net = Net::new();
    enable_in_kernel(&net.right());
    let _server = net.serve(&format!("--address {} --service echo:7", cidr(LEFT_OWN.into())));
    net.on_right(|| {
        for _ in 0..3 {
            exchange(SocketAddr::new(LEFT_OWN.into(), 7), b"request");
        }
    });
    assert_eq!(counted(&net.right(), "TcpExtTCPFastOpenActive"), 0);
}
