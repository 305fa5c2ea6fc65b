//! Two new namespaces joined by a veth pair.
//!
//! Owns the settings that every run shares: one queue per direction, complete checksums, no IPv6
//! autoconfiguration traffic from the kernel. Uses `ip` and `ethtool`, as an operator would.

use std::process::Command;

use linerate::wire::MacAddr;

use super::namespace::Namespace;
use crate::failure::Failure;
use crate::network::Cidr;

/// Configuration of one interface of the veth pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cable {
    /// Interface name.
    pub interface: String,
    /// MAC address.
    pub mac: MacAddr,
}

/// One end: a namespace with its interface of the veth pair. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct End {
    namespace: Namespace,
    interface: String,
}

/// Two namespaces joined by a veth pair.
#[derive(Debug)]
pub(crate) struct Pair {
    /// The two ends, in the order of the arguments of [`Pair::new`].
    pub ends: [End; 2],
}

impl Pair {
    /// Creates the pair and brings it up, without addresses.
    ///
    /// # Errors
    /// Without root privileges, or without iproute2 and ethtool.
    pub(crate) fn new(cables: [Cable; 2]) -> Result<Self, Failure> {
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
            // Keep the kernel's router solicitations and duplicate address detection off the link.
            setting(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1")?;
            // With tx offload, veth passes partial checksums, which a real wire never carries.
            tool("ethtool", &format!("-K {name} tx off"))?;
            tool("ip", "link set lo up")?;
            tool("ip", &format!("link set {name} up"))
        })
    }

    /// Returns the interface name.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }

    /// Runs `job` inside the namespace.
    ///
    /// # Panics
    /// When `job` panics.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.namespace.run(job)
    }

    /// Adds an address of the kernel's stack to the interface.
    ///
    /// # Errors
    /// When `ip` fails.
    pub(crate) fn add_address(&self, address: Cidr) -> Result<(), Failure> {
        let arguments = format!("address add {address} dev {}", self.interface);
        self.run(move || tool("ip", &arguments))
    }

    /// Reads counters of the interface by their names in /sys/class/net; a missing counter reads as
    /// zero.
    pub(crate) fn counted<const N: usize>(&self, names: [&'static str; N]) -> [u64; N] {
        let folder = format!("/sys/class/net/{}/statistics", self.interface);
        self.run(move || {
            names.map(|name| {
                let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
                text.trim().parse().unwrap_or(0)
            })
        })
    }
}

/// Writes a kernel setting in /proc or /sys, in the calling thread's namespace.
///
/// # Errors
/// Without root privileges, or on a kernel without this setting.
pub(crate) fn setting(path: &str, value: &str) -> Result<(), Failure> {
    std::fs::write(path, value).map_err(|error| {
        Failure::new(
            format!("cannot set {path} to {value}"),
            error,
            "run as root on a kernel that has this setting",
        )
    })
}

/// Runs a command of the host in the calling thread's namespace.
///
/// # Errors
/// When the command is not installed, or fails; the failure contains its standard error.
pub(crate) fn tool(name: &str, arguments: &str) -> Result<(), Failure> {
    let tried = || format!("cannot set up the veth pair: {name} {arguments}");
    let output =
        Command::new(name).args(arguments.split_whitespace()).output().map_err(|error| {
            Failure::new(tried(), error, "install iproute2 and ethtool (scripts/setup)")
        })?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::new(tried(), stderr, "run as root, on a kernel with veth"))
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
    fn pair_carries_packets_and_is_removed_on_drop() {
        if !nix::unistd::geteuid().is_root() {
            let refused = Pair::new(cables()).expect_err("namespaces need root");
            assert!(refused.to_string().contains("root"));
            return;
        }
        let pair = Pair::new(cables()).expect("the test runs as root");
        for (end, address) in pair.ends.iter().zip(["10.99.7.1/24", "10.99.7.2/24"]) {
            end.add_address(address.parse().expect("valid address")).expect("unused address");
        }
        let connect = || TcpStream::connect("10.99.7.2:9").expect_err("no listener").kind();
        assert_eq!(
            pair.ends[0].run(connect),
            ErrorKind::ConnectionRefused,
            "the other end answers"
        );
        let [sent] = pair.ends[0].counted(["tx_packets"]);
        let [received, none] = pair.ends[1].counted(["rx_packets", "no_such_counter"]);
        assert!(sent >= 2 && received >= 2 && none == 0, "{sent} {received} {none}");
        let path = pair.ends[1].namespace.path().to_owned();
        assert!(std::path::Path::new(&path).exists());
        drop(pair);
        assert!(!std::path::Path::new(&path).exists());
    }

    #[test]
    fn failure_contains_the_stderr_of_the_command() {
        let refused = tool("ip", "link set nosuch0 up").expect_err("no such interface");
        assert!(refused.to_string().contains("nosuch0"), "{refused}");
    }
}
