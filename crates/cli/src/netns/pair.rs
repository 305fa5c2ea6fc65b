//! Two fresh namespaces joined by a veth pair.
//!
//! Owns what every run wants alike: one queue each way, no checksums left undone, no chatter of the
//! kernel's own. Works through `ip` and `ethtool`, as an operator would by hand.

use std::process::Command;

use linerate::wire::MacAddr;

use super::namespace::Namespace;
use crate::failure::Failure;
use crate::network::Cidr;

/// One half of the veth pair, as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cable {
    /// The interface's name.
    pub interface: String,
    /// Its link-layer address.
    pub mac: MacAddr,
}

/// One end: a namespace with its half of the veth pair. Dropping it takes both away.
#[derive(Debug)]
pub struct End {
    namespace: Namespace,
    interface: String,
}

/// Two ends.
#[derive(Debug)]
pub struct Pair {
    /// In the order in which they were asked for.
    pub ends: [End; 2],
}

impl Pair {
    /// Makes the pair and brings it up, without addresses.
    ///
    /// # Errors
    /// Without the privileges, or without iproute2 and ethtool.
    pub fn new(cables: [Cable; 2]) -> Result<Self, Failure> {
        let [near, far] = cables;
        let ends = [End::new(&near)?, End::new(&far)?];
        let arguments = format!(
            "link add {} address {} numrxqueues 1 numtxqueues 1 type veth \
             peer name {} address {} numrxqueues 1 numtxqueues 1 netns {}",
            near.interface,
            near.mac,
            far.interface,
            far.mac,
            ends[1].namespace.path(),
        );
        ends[0].run(move || tool("ip", &arguments))?;
        ends.iter().try_for_each(End::bring_up)?;
        Ok(Self { ends })
    }
}

impl End {
    fn new(cable: &Cable) -> Result<Self, Failure> {
        Ok(Self { namespace: Namespace::new()?, interface: cable.interface.clone() })
    }

    fn bring_up(&self) -> Result<(), Failure> {
        let name = self.interface.clone();
        self.run(move || {
            // The kernel's own neighbour discovery is not part of what is run.
            setting(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1")?;
            // Partial checksums are a shortcut of the kernel with itself, which a wire does not offer.
            tool("ethtool", &format!("-K {name} tx off"))?;
            tool("ip", "link set lo up")?;
            tool("ip", &format!("link set {name} up"))
        })
    }

    /// The name of its half of the veth pair.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Runs `job` inside. What it spawns, opens and reads belongs to the namespace.
    ///
    /// # Panics
    /// When `job` does.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.namespace.run(job)
    }

    /// Gives the kernel's stack an address here.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn add_address(&self, address: Cidr) -> Result<(), Failure> {
        let arguments = format!("address add {address} dev {}", self.interface);
        self.run(move || tool("ip", &arguments))
    }

    /// Counters of the interface, as /sys/class/net names them; zero where it has no such counter.
    pub fn counted<const N: usize>(&self, names: [&'static str; N]) -> [u64; N] {
        let folder = format!("/sys/class/net/{}/statistics", self.interface);
        self.run(move || {
            names.map(|name| {
                let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
                text.trim().parse().unwrap_or(0)
            })
        })
    }
}

/// Sets what the kernel offers as a file, in the calling thread's namespace.
///
/// # Errors
/// Without the privilege, or on a kernel that does not have it.
pub fn setting(path: &str, value: &str) -> Result<(), Failure> {
    std::fs::write(path, value).map_err(|error| {
        Failure::new(
            format!("cannot set {path} to {value}"),
            error,
            "run as root on a kernel that has this setting",
        )
    })
}

/// Runs a tool of the host in the calling thread's namespace.
///
/// # Errors
/// When it is not there, or with what it complains about.
pub fn tool(name: &str, arguments: &str) -> Result<(), Failure> {
    let tried = || format!("cannot set up the veth pair: {name} {arguments}");
    let output =
        Command::new(name).args(arguments.split_whitespace()).output().map_err(|error| {
            Failure::new(tried(), error, "install iproute2 and ethtool (scripts/setup does)")
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(tried(), said, "run as root, on a kernel with veth"))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    fn cables() -> [Cable; 2] {
        ["near", "far"].map(|name| Cable {
            interface: name.to_owned(),
            mac: MacAddr([0x02, 0, 0, 0, 1, name.len() as u8]),
        })
    }

    #[test]
    fn a_pair_carries_packets_and_is_gone_afterwards() {
        if !nix::unistd::geteuid().is_root() {
            let refused = Pair::new(cables()).expect_err("namespaces need root");
            assert!(refused.to_string().contains("root"));
            return;
        }
        let pair = Pair::new(cables()).expect("root may");
        for (end, address) in pair.ends.iter().zip(["10.99.7.1/24", "10.99.7.2/24"]) {
            end.add_address(address.parse().expect("an address")).expect("it is free");
        }
        let knock = || TcpStream::connect("10.99.7.2:9").expect_err("nobody listens").kind();
        assert_eq!(pair.ends[0].run(knock), ErrorKind::ConnectionRefused, "the other end answers");
        let [sent] = pair.ends[0].counted(["tx_packets"]);
        let [received, none] = pair.ends[1].counted(["rx_packets", "no_such_counter"]);
        assert!(sent >= 2 && received >= 2 && none == 0, "{sent} {received} {none}");
        let path = pair.ends[1].namespace.path().to_owned();
        assert!(std::path::Path::new(&path).exists());
        drop(pair);
        assert!(!std::path::Path::new(&path).exists());
    }

    #[test]
    fn what_a_tool_complains_about_is_told() {
        let refused = tool("ip", "link set nosuch0 up").expect_err("there is no such interface");
        assert!(refused.to_string().contains("nosuch0"), "{refused}");
    }
}
