//! Support for tests over real interfaces: namespaces joined by a veth pair, the built binary as a
//! server, and threads inside a namespace. Everything is removed on drop.
#![allow(dead_code, unused_imports)]

pub(crate) mod client;
mod namespaces;
mod server;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use linerate::wire::MacAddr;

pub(crate) use namespaces::{
    LEFT, LEFT_OWN, Net, RIGHT, RIGHT_OWN, both, cidr, inside, sh, try_sh, v6,
};
pub(crate) use server::Server;

impl Net {
    /// Starts `linerate serve --interface veth0` with more arguments on the left.
    #[track_caller]
    pub(crate) fn serve(&self, arguments: &str) -> Server {
        serve(&self.left(), arguments)
    }
}

/// Starts `linerate serve --interface veth0` with more arguments in namespace `ns`.
#[track_caller]
pub(crate) fn serve(ns: &str, arguments: &str) -> Server {
    Server::start(linerate(ns, &format!("serve --interface veth0 {arguments}")))
}

/// Returns a command that runs the built binary in namespace `ns`.
pub(crate) fn linerate(ns: &str, arguments: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", ns, env!("CARGO_BIN_EXE_linerate")]);
    command.args(arguments.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// Returns the MAC address of `veth0` in namespace `ns`.
#[track_caller]
pub(crate) fn hardware_address(ns: &str) -> MacAddr {
    let shown: serde_json::Value =
        serde_json::from_str(&sh(&format!("ip -n {ns} -j link show veth0"))).expect("JSON");
    let text = shown[0]["address"].as_str().expect("an address");
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect();
    MacAddr(bytes.try_into().expect("six bytes"))
}

/// Runs the binary and parses its standard output as JSON.
#[track_caller]
pub(crate) fn linerate_json(ns: &str, arguments: &str) -> serde_json::Value {
    let output = linerate(ns, arguments).output().expect("the binary runs");
    assert!(
        output.status.success(),
        "linerate {arguments}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
        panic!("not one JSON object: {e}: {}", String::from_utf8_lossy(&output.stdout))
    })
}

/// Polls until `condition` holds, for at most ten seconds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("timed out waiting: {what}");
}

/// Connects with a timeout, and sets the same timeout for reads and writes.
#[track_caller]
pub(crate) fn connect(address: SocketAddr) -> std::net::TcpStream {
    let limit = Duration::from_secs(20);
    let stream = std::net::TcpStream::connect_timeout(&address, limit)
        .unwrap_or_else(|e| panic!("connecting to {address}: {e}"));
    stream.set_read_timeout(Some(limit)).expect("a non-zero limit");
    stream.set_write_timeout(Some(limit)).expect("a non-zero limit");
    stream
}

/// Returns `n` pseudo-random bytes from `seed`, so that lost, moved or duplicated data is detected.
pub(crate) fn pattern(seed: u64, n: usize) -> Vec<u8> {
    let mut rng = linerate::rng::Rng::new(seed);
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}
