//! Support for tests over real interfaces: namespaces joined by a veth pair, the built binary as a
//! server, and threads inside a namespace. Everything is removed on drop.
#![allow(dead_code)]

pub(crate) mod client;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use linerate::wire::MacAddr;
use nix::sched::{CloneFlags, setns};

/// Kernel's address on the left, where the servers run.
pub(crate) const LEFT: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 1);
/// Kernel's address on the right, where the clients run.
pub(crate) const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 2);
/// linerate's address on the left in exclusive mode.
pub(crate) const LEFT_OWN: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 11);
/// linerate's address on the right in exclusive mode.
pub(crate) const RIGHT_OWN: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 12);

/// Returns the IPv6 address of the same host.
pub(crate) fn v6(v4: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::new(0xfd91, 0, 0, 0, 0, 0, 0, u16::from(v4.octets()[3]))
}

/// Returns both addresses of a host.
pub(crate) fn both(v4: Ipv4Addr) -> [IpAddr; 2] {
    [IpAddr::V4(v4), IpAddr::V6(v6(v4))]
}

/// Formats an address with its prefix length for the command line.
pub(crate) fn cidr(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 24 } else { 64 })
}

/// Runs a shell command and returns its standard output.
///
/// # Panics
/// Panics with the command and its output if it fails: a test without its environment must fail.
#[track_caller]
pub(crate) fn sh(command: &str) -> String {
    let output = try_sh(command);
    assert!(
        output.status.success(),
        "`{command}` failed: {}{}\n(these tests create network namespaces: run them as root)",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a shell command and returns its output, even if it fails.
pub(crate) fn try_sh(command: &str) -> Output {
    Command::new("sh")
        .args(["-c", command])
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .stdin(Stdio::null())
        .output()
        .expect("`sh` is installed")
}

/// Two namespaces joined by a veth pair. The interface is `veth0` in both.
pub(crate) struct Net {
    name: String,
}

impl Net {
    /// Creates the pair with one queue.
    pub(crate) fn new() -> Self {
        Self::with_queues(1)
    }

    /// Creates the pair with `queues` queues in each direction.
    pub(crate) fn with_queues(queues: u32) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let net = Self { name: format!("lrt-{}-{serial}", std::process::id()) };
        let (a, b) = (net.left(), net.right());
        sh(&format!(
            "ip netns add {a} && ip netns add {b} && \
             ip -n {a} link add veth0 numrxqueues {queues} numtxqueues {queues} type veth \
                peer name veth0 netns {b} numrxqueues {queues} numtxqueues {queues}"
        ));
        for (ns, address) in [(a, LEFT), (b, RIGHT)] {
            sh(&format!(
                "ip netns exec {ns} ethtool -K veth0 tx off >/dev/null && \
                 ip -n {ns} link set lo up && ip -n {ns} link set veth0 up && \
                 ip -n {ns} addr add {address}/24 dev veth0 && \
                 ip -n {ns} addr add {}/64 dev veth0 nodad",
                v6(address)
            ));
        }
        net
    }

    /// Returns the name of the left namespace.
    pub(crate) fn left(&self) -> String {
        format!("{}-a", self.name)
    }

    /// Returns the name of the right namespace.
    pub(crate) fn right(&self) -> String {
        format!("{}-b", self.name)
    }

    /// Starts `linerate serve --interface veth0` with more arguments on the left.
    #[track_caller]
    pub(crate) fn serve(&self, arguments: &str) -> Server {
        Server::start(&self.left(), arguments)
    }

    /// Runs `f` on a thread inside the right namespace.
    pub(crate) fn on_right<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        inside(&self.right(), f).join().expect("the thread in the namespace failed")
    }

    /// Runs `f` on a thread inside the left namespace.
    pub(crate) fn on_left<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        inside(&self.left(), f).join().expect("the thread in the namespace failed")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for ns in [self.left(), self.right()] {
            try_sh(&format!("ip netns del {ns}"));
        }
    }
}

/// Starts `f` on a thread inside namespace `ns`.
pub(crate) fn inside<T: Send + 'static>(
    ns: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let file = File::open(format!("/var/run/netns/{ns}")).expect("the namespace exists");
    std::thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).expect("entering a namespace needs root");
        f()
    })
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

/// A running `linerate serve`, stopped on drop.
pub(crate) struct Server {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Server {
    /// Starts the server and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(ns: &str, arguments: &str) -> Self {
        let mut child = linerate(ns, &format!("serve --interface veth0 {arguments}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            // Returns when the child closes its end.
            let _ = stderr.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        stdout.read_line(&mut first).expect("standard output is text");
        let mut server = Self { child, log };
        if first != "ready\n" {
            let log = server.log();
            panic!("serve {arguments}: expected `ready`, got {first:?}\n{log}");
        }
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        server
    }

    /// Returns the process ID.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal);
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Stops the server with SIGTERM and returns its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
        None
    }

    /// Returns the exit code if the server has exited.
    pub(crate) fn exited(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Stops the server and returns the counters from its log, by name.
    pub(crate) fn counters(&mut self) -> BTreeMap<String, u64> {
        self.stop();
        let text = self.log.recv_timeout(Duration::from_secs(5)).unwrap_or_default();
        let count = |line: &str| {
            let (name, count) = line.split_once(": ")?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        text.lines().filter_map(count).collect()
    }

    fn log(&mut self) -> String {
        self.kill();
        self.log.recv_timeout(Duration::from_secs(5)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|s| s.is_none()) {
            self.stop();
        }
    }
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
