//! Two network namespaces joined by a veth pair, and threads inside them. The tests of the examples
//! include this file, too.
#![allow(dead_code)]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

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
