//! What the tests over real interfaces share: namespaces joined by a veth pair, the built binary as a
//! server, and threads inside a namespace. Everything is removed on drop.
#![allow(dead_code)]

pub mod client;

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

/// The kernel's address on the left, where the servers of these tests run.
pub const LEFT: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 1);
/// The kernel's address on the right, where the clients run.
pub const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 2);
/// linerate's own address on the left in exclusive mode.
pub const LEFT_OWN: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 11);
/// linerate's own address on the right in exclusive mode.
pub const RIGHT_OWN: Ipv4Addr = Ipv4Addr::new(10, 91, 0, 12);

/// The IPv6 address of the same host.
pub fn v6(v4: Ipv4Addr) -> Ipv6Addr {
    Ipv6Addr::new(0xfd91, 0, 0, 0, 0, 0, 0, u16::from(v4.octets()[3]))
}

/// Both addresses of a host.
pub fn both(v4: Ipv4Addr) -> [IpAddr; 2] {
    [IpAddr::V4(v4), IpAddr::V6(v6(v4))]
}

/// `address/prefix` as the command line takes it.
pub fn cidr(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 24 } else { 64 })
}

/// Runs a command to its end; its output.
///
/// # Panics
/// With the command and what it printed when it fails: a test that can't set up its world must fail.
#[track_caller]
pub fn sh(command: &str) -> String {
    let output = try_sh(command);
    assert!(
        output.status.success(),
        "`{command}` failed: {}{}\n(these tests make namespaces: run them as root)",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end, whatever comes.
pub fn try_sh(command: &str) -> Output {
    Command::new("sh")
        .args(["-c", command])
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell")
}

/// Two namespaces joined by a veth pair; in each the interface is `veth0`.
pub struct Net {
    name: String,
}

impl Net {
    /// With one queue.
    pub fn new() -> Self {
        Self::with_queues(1)
    }

    /// With `queues` queues each way.
    pub fn with_queues(queues: u32) -> Self {
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

    /// The left namespace.
    pub fn left(&self) -> String {
        format!("{}-a", self.name)
    }

    /// The right namespace.
    pub fn right(&self) -> String {
        format!("{}-b", self.name)
    }

    /// Serves on the left: `arguments` follow `linerate serve --interface veth0`.
    #[track_caller]
    pub fn serve(&self, arguments: &str) -> Server {
        Server::start(&self.left(), arguments)
    }

    /// Runs `f` on a thread inside the right namespace.
    pub fn on_right<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
        inside(&self.right(), f).join().expect("the thread in the namespace failed")
    }

    /// Runs `f` on a thread inside the left namespace.
    pub fn on_left<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> T {
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
pub fn inside<T: Send + 'static>(
    ns: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let file = File::open(format!("/var/run/netns/{ns}")).expect("the namespace exists");
    std::thread::spawn(move || {
        setns(file, CloneFlags::CLONE_NEWNET).expect("entering a namespace needs root");
        f()
    })
}

/// The built binary, inside namespace `ns`, with these arguments.
pub fn linerate(ns: &str, arguments: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", ns, env!("CARGO_BIN_EXE_linerate")]);
    command.args(arguments.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// The hardware address of `veth0` in namespace `ns`.
#[track_caller]
pub fn hardware_address(ns: &str) -> MacAddr {
    let shown: serde_json::Value =
        serde_json::from_str(&sh(&format!("ip -n {ns} -j link show veth0"))).expect("JSON");
    let text = shown[0]["address"].as_str().expect("an address");
    let bytes: Vec<u8> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16).expect("hex")).collect();
    MacAddr(bytes.try_into().expect("six bytes"))
}

/// Runs the binary to its end and parses what it printed as JSON.
#[track_caller]
pub fn linerate_json(ns: &str, arguments: &str) -> serde_json::Value {
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

/// A running `linerate serve`; stopped on drop.
pub struct Server {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Server {
    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(ns: &str, arguments: &str) -> Self {
        let mut child = linerate(ns, &format!("serve --interface veth0 {arguments}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let (tell, log) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            // Ends when the child closes its end.
            let _ = stderr.read_to_string(&mut text);
            let _ = tell.send(text);
        });
        let mut first = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        stdout.read_line(&mut first).expect("standard output is text");
        let mut server = Self { child, log };
        if first != "ready\n" {
            let log = server.log();
            panic!("serve {arguments}: not ready but {first:?}\n{log}");
        }
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        server
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal);
    }

    /// Kills it without a warning.
    pub fn kill(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Asks it to stop, waits, and gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
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

    /// Its exit code, if it has ended.
    pub fn exited(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// Stops it, and gives what it counted, by name.
    pub fn counters(&mut self) -> BTreeMap<String, u64> {
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

/// Asks again until `condition` holds, for at most ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("never came true: {what}");
}

/// Connects with a time limit, and sets one for everything after.
#[track_caller]
pub fn connect(address: SocketAddr) -> std::net::TcpStream {
    let limit = Duration::from_secs(20);
    let stream = std::net::TcpStream::connect_timeout(&address, limit)
        .unwrap_or_else(|e| panic!("connecting to {address}: {e}"));
    stream.set_read_timeout(Some(limit)).expect("a non-zero limit");
    stream.set_write_timeout(Some(limit)).expect("a non-zero limit");
    stream
}

/// `n` bytes that depend on `seed` and repeat only after 2^64: what is lost, moved or doubled shows.
pub fn pattern(seed: u64, n: usize) -> Vec<u8> {
    let mut rng = linerate::rng::Rng::new(seed);
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        bytes.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}
