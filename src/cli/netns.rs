//! A pair of network namespaces joined by a veth pair, for runs of this program's own.
//!
//! Owns what it makes: a [`Pair`] is removed when dropped, and the leftovers of a process that was killed
//! are removed by the next one, which finds their maker's process id in the names. Works through `ip` and
//! `ethtool`, as an operator would by hand.

use std::net::IpAddr;
use std::process::Command;

use super::failure::Failure;
use super::network::Cidr;

/// All namespaces of ours begin so; the maker's process id follows.
const PREFIX: &str = "linerate-";

/// How a pair is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Queues of each end, both ways: native XDP on veth needs as many rx queues as the peer's tx queues.
    pub queues: u32,
    /// Bytes of the largest packet.
    pub mtu: u32,
}

impl Default for Shape {
    fn default() -> Self {
        Self { queues: 1, mtu: 1500 }
    }
}

/// Two namespaces and the cable between them.
#[derive(Debug)]
pub struct Pair {
    /// The ends.
    pub ends: [Namespace; 2],
}

/// One end.
#[derive(Debug)]
pub struct Namespace {
    /// What `ip netns` knows it by.
    pub name: String,
    /// Its end of the cable.
    pub interface: String,
}

impl Pair {
    /// Makes a pair; `purpose` tells it from others of this process.
    ///
    /// # Errors
    /// When the process may not, or `ip` or `ethtool` is missing.
    pub fn new(purpose: &str, shape: &Shape) -> Result<Self, Failure> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Failure::new(
                "cannot make network namespaces",
                "this process is not root",
                "run it as root (sudo)",
            ));
        }
        sweep();
        let process = std::process::id();
        // From here on, dropping removes whatever was made.
        let pair = Self {
            ends: ["a", "b"].map(|end| Namespace {
                name: format!("{PREFIX}{process}-{purpose}-{end}"),
                interface: "veth0".into(),
            }),
        };
        for end in &pair.ends {
            run(Command::new("ip").args(["netns", "add", &end.name]))?;
        }
        pair.join(shape)?;
        pair.ends.iter().try_for_each(Namespace::bring_up)?;
        Ok(pair)
    }

    fn join(&self, shape: &Shape) -> Result<(), Failure> {
        let [one, other] = &self.ends;
        let (queues, mtu) = (shape.queues.to_string(), shape.mtu.to_string());
        let size = ["mtu", &mtu, "numrxqueues", &queues, "numtxqueues", &queues];
        run(Command::new("ip")
            .args(["-n", &one.name, "link", "add", &one.interface])
            .args(size)
            .args(["type", "veth", "peer", "name", &other.interface, "netns", &other.name])
            .args(size))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for end in &self.ends {
            let _ = Command::new("ip").args(["netns", "del", &end.name]).output();
        }
    }
}

impl Namespace {
    fn bring_up(&self) -> Result<(), Failure> {
        // A veth peer hands packets over whose checksum nobody computed, unless it computes them itself.
        run(self.command("ethtool").args(["-K", &self.interface, "tx", "off"]))?;
        // Duplicate address detection would hold IPv6 addresses back for a second.
        run(self.command("sysctl").args(["-qw", "net.ipv6.conf.all.accept_dad=0"]))?;
        for interface in ["lo", &self.interface] {
            run(Command::new("ip").args(["-n", &self.name, "link", "set", interface, "up"]))?;
        }
        Ok(())
    }

    /// Gives the kernel's stack an address on the cable.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn add_address(&self, address: &Cidr) -> Result<(), Failure> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name, "addr", "add", &address.to_string()]);
        command.args(["dev", &self.interface]);
        if address.address.is_ipv6() {
            command.arg("nodad");
        }
        run(&mut command)
    }

    /// Tells the kernel's stack where a neighbour is, for good: `mac` as in `02:00:00:00:00:01`.
    ///
    /// # Errors
    /// What `ip` complains about.
    #[cfg_attr(not(test), expect(dead_code, reason = "for runs without ARP"))]
    pub fn add_neighbour(&self, address: IpAddr, mac: &str) -> Result<(), Failure> {
        run(Command::new("ip")
            .args(["-n", &self.name, "neigh", "replace", &address.to_string(), "lladdr", mac])
            .args(["dev", &self.interface, "nud", "permanent"]))
    }

    /// A counter of the cable's end, as /sys/class/net tells it: `tx_dropped` is where a full veth ring
    /// shows.
    #[cfg_attr(not(test), expect(dead_code, reason = "for measurements"))]
    pub fn counter(&self, name: &str) -> Option<u64> {
        let path = format!("/sys/class/net/{}/statistics/{name}", self.interface);
        let output = self.command("cat").arg(path).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    }

    /// A program, to be started inside. `ip` enters the namespace, with its own /sys, and becomes the
    /// program: signals to the child reach it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// This program, to be started inside.
    ///
    /// # Errors
    /// When it does not know where it lies.
    pub fn linerate(&self) -> Result<Command, Failure> {
        let own = std::env::current_exe().map_err(|error| {
            Failure::new("cannot start this program again", error, "see that /proc is mounted")
        })?;
        Ok(self.command(own))
    }
}

/// Removes the namespaces of makers that are no more.
fn sweep() {
    let Ok(output) = Command::new("ip").args(["netns", "list"]).output() else { return };
    let list = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| maker(name).is_some_and(|process| !is_alive(process))) {
        let _ = Command::new("ip").args(["netns", "del", name]).output();
    }
}

/// The process that made a namespace of this name.
fn maker(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

fn is_alive(process: u32) -> bool {
    std::path::Path::new("/proc").join(process.to_string()).exists()
}

/// Runs a command that is to succeed in silence.
fn run(command: &mut Command) -> Result<(), Failure> {
    let line = format!("{command:?}").replace('"', "");
    let tried = format!("cannot set up a network namespace: `{line}`");
    let output = command.output().map_err(|error| {
        Failure::new(&tried, error, "install iproute2, ethtool and procps (scripts/setup)")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(
        tried,
        complaint,
        "see that this host may make namespaces (root, CAP_SYS_ADMIN)",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_tell_a_maker() {
        assert_eq!(maker("linerate-123-trace-a"), Some(123));
        for name in ["linerate-a", "linerate-x-y", "other-123-a", "linerate"] {
            assert_eq!(maker(name), None, "{name}");
        }
    }

    #[test]
    fn a_pair_carries_packets_and_is_gone_afterwards() {
        if !nix::unistd::geteuid().is_root() {
            let refused = Pair::new("test", &Shape::default()).expect_err("namespaces need root");
            assert!(refused.to_string().contains("root"));
            return;
        }
        let pair = Pair::new("test", &Shape { queues: 2, mtu: 1400 }).expect("root may");
        let addresses = ["10.99.7.1/24", "10.99.7.2/24", "fd99:7::1/64", "fd99:7::2/64"];
        for (index, address) in addresses.iter().enumerate() {
            let address = address.parse().expect("it is an address");
            pair.ends[index % 2].add_address(&address).expect("it is free");
        }
        let neighbour = "10.99.7.9".parse().expect("it is an address");
        pair.ends[0].add_neighbour(neighbour, "02:00:00:00:00:09").expect("the cable is up");
        for target in ["10.99.7.2", "fd99:7::2"] {
            let sent = pair.ends[0]
                .command("bash")
                .args(["-c", &format!("exec 3<>/dev/tcp/{target}/9")])
                .output()
                .expect("bash is there");
            let complaint = String::from_utf8_lossy(&sent.stderr).into_owned();
            assert!(complaint.contains("refused"), "the other end answers: {complaint}");
        }
        assert!(pair.ends[0].counter("tx_packets") > Some(1));
        let name = pair.ends[0].name.clone();
        drop(pair);
        let list = Command::new("ip").args(["netns", "list"]).output().expect("ip is there");
        assert!(!String::from_utf8_lossy(&list.stdout).contains(&name));
    }
}
