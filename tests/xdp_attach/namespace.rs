//! A veth pair between two network namespaces, and the test as a process inside the first.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Environment variable with the names of the two namespaces, for the process inside.
const INSIDE: &str = "LINERATE_TEST_NAMESPACES";

/// A veth pair: `near` (10.77.0.1) and `far` (10.77.0.2), each in its own namespace and with two
/// queues.
struct Pair {
    near: String,
    far: String,
}

impl Pair {
    fn new() -> Self {
        let pair = Self {
            near: format!("xdp-near-{}-{}", std::process::id(), serial()),
            far: format!("xdp-far-{}-{}", std::process::id(), serial()),
        };
        let Self { near, far } = &pair;
        ip(&format!("netns add {near}"));
        ip(&format!("netns add {far}"));
        ip(&format!(
            "-n {near} link add near address 02:00:00:00:77:01 numrxqueues 2 numtxqueues 2 type veth \
             peer name far netns {far} address 02:00:00:00:77:02 numrxqueues 2 numtxqueues 2"
        ));
        for (namespace, interface, host) in [(near, "near", 1), (far, "far", 2)] {
            ip(&format!("-n {namespace} address add 10.77.0.{host}/24 dev {interface}"));
            ip(&format!("-n {namespace} link set {interface} up"));
            ip(&format!("-n {namespace} link set lo up"));
        }
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            // Also runs after a partial set-up, so the namespace may not exist.
            let _ = Command::new("ip").args(["netns", "delete", namespace]).output();
        }
    }
}

fn serial() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Runs `body` in a process inside the `near` namespace of a new pair. `name` is the name of the
/// calling test.
pub(crate) fn test_in_namespace(name: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let pair = Pair::new();
    let output = Command::new("ip")
        .args(["netns", "exec", &pair.near])
        .arg(std::env::current_exe().expect("the test binary"))
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, &pair.far)
        .output()
        .expect("ip (iproute2) starts");
    let text = printed(&output);
    assert!(output.status.success() && text.contains("1 passed"), "inside the namespace:\n{text}");
}

/// Runs one `ip` command; panics if it fails.
pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("ip (iproute2) starts");
    assert!(
        output.status.success(),
        "ip {arguments}: {} (these tests need root, as in scripts/test)",
        printed(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs one `ip` command in the namespace of `far`.
pub(crate) fn ip_of_far(arguments: &str) -> String {
    ip(&format!("-n {} {arguments}", far()))
}

fn far() -> String {
    std::env::var(INSIDE).expect("set by test_in_namespace")
}

fn printed(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// Returns how a program is attached to an interface: `xdp` (native), `xdpgeneric`, or `None`.
pub(crate) fn xdp_of(interface: &str) -> Option<String> {
    let flags = ip(&format!("-o link show dev {interface}"));
    let words = flags.split([' ', '/']).map(str::trim);
    words.into_iter().find(|word| matches!(*word, "xdp" | "xdpgeneric")).map(str::to_owned)
}

/// Returns true if a TCP connection from the namespace of `far` opens.
pub(crate) fn reaches(address: SocketAddr) -> bool {
    from_far(move || TcpStream::connect_timeout(&address, Duration::from_millis(800)).is_ok())
}

/// Sends the SYNs of `times` connections from the namespace of `far` without waiting for replies.
pub(crate) fn knock(address: SocketAddr, times: u64) {
    from_far(move || {
        for _ in 0..times {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a TCP socket");
            socket.set_nonblocking(true).expect("a flag");
            // EINPROGRESS: the socket does not block.
            let _ = socket.connect(&address.into());
        }
    });
}

fn from_far<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace =
        std::fs::File::open(format!("/run/netns/{}", far())).expect("the namespace exists");
    let thread = std::thread::spawn(move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)
            .expect("root may enter a namespace");
        body()
    });
    thread.join().expect("the body does not panic")
}
