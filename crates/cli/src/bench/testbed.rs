//! A veth pair between two new network namespaces, with the same settings for both stacks.
//!
//! Every run gets a new pair, so it inherits no state from the previous one (TIME-WAITs, ports,
//! neighbours, counters).

use std::net::Ipv4Addr;

use clap::ValueEnum;
use linerate::wire::MacAddr;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use crate::failure::Failure;
use crate::netns::{Cable, End, Pair, setting, tool};
use crate::network::Cidr;

/// Prefix length of all addresses.
pub(super) const PREFIX: u8 = 16;

/// Interface counters of dropped packets, on transmit and receive.
const DROPPED: [&str; 2] = ["tx_dropped", "rx_dropped"];

/// Context in which the kernel runs the receive path of the veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Napi {
    /// In the sender's system call, on its core: the default of veth.
    Inline,
    /// In a NAPI thread on the core of the sending end, with a pfifo qdisc on each interface.
    Threaded,
}

/// A side of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Accepts connections.
    Server,
    /// Opens connections.
    Client,
}

/// Packets dropped on the pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Drops {
    /// Dropped on transmit by the server's interface: the client's ring was full.
    pub server_tx: u64,
    /// Dropped on receive by the server's interface.
    pub server_rx: u64,
    /// Dropped on transmit by the client's interface: the server's ring was full.
    pub client_tx: u64,
    /// Dropped on receive by the client's interface.
    pub client_rx: u64,
    /// Dropped by the AF_XDP sockets of this process: RX ring full or fill ring empty.
    pub sockets: u64,
}

impl Drops {
    /// Returns the drops since `earlier`.
    pub(super) const fn since(&self, earlier: &Self) -> Self {
        Self {
            server_tx: self.server_tx.saturating_sub(earlier.server_tx),
            server_rx: self.server_rx.saturating_sub(earlier.server_rx),
            client_tx: self.client_tx.saturating_sub(earlier.client_tx),
            client_rx: self.client_rx.saturating_sub(earlier.client_rx),
            sockets: self.sockets.saturating_sub(earlier.sockets),
        }
    }

    /// Adds `other`.
    pub(super) const fn add(&mut self, other: &Self) {
        self.server_tx += other.server_tx;
        self.server_rx += other.server_rx;
        self.client_tx += other.client_tx;
        self.client_rx += other.client_rx;
        self.sockets += other.sockets;
    }

    /// Returns the total.
    pub(super) const fn total(&self) -> u64 {
        self.server_tx + self.server_rx + self.client_tx + self.client_rx + self.sockets
    }
}

/// Configuration of a testbed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TestbedConfig {
    /// Cores of the server and the client.
    pub cores: [usize; 2],
    /// Delivery mode of the veth pair.
    pub napi: Napi,
    /// Number of addresses of the kernel's stack on the server's and the client's side. Zero is for
    /// a side that does not use it.
    pub kernel_addresses: [usize; 2],
}

/// The pair. Dropping it removes everything.
#[derive(Debug)]
pub(super) struct Testbed {
    pair: Pair,
}

impl Side {
    /// Returns the interface name. It is unique to this process, because NAPI threads are named
    /// after it.
    pub(super) fn interface(self) -> String {
        let end = match self {
            Self::Server => 's',
            Self::Client => 'c',
        };
        format!("b{}{end}", std::process::id() % 100_000)
    }

    /// Returns the MAC address.
    pub(super) const fn mac(self) -> MacAddr {
        match self {
            Self::Server => MacAddr([0x02, 0x6c, 0x72, 0, 0, 1]),
            Self::Client => MacAddr([0x02, 0x6c, 0x72, 0, 0, 2]),
        }
    }

    /// Returns the address with this index.
    pub(super) const fn address(self, index: usize) -> Ipv4Addr {
        let [high, low] = ((index + 1) as u16).to_be_bytes();
        match self {
            Self::Server => Ipv4Addr::new(10, 77, high, low),
            Self::Client => Ipv4Addr::new(10, 77, 100 + high, low),
        }
    }
}

impl Testbed {
    /// Creates the pair.
    ///
    /// # Errors
    /// Without root privileges, or without iproute2 and ethtool.
    pub(super) fn new(config: &TestbedConfig) -> Result<Self, Failure> {
        let cables = [Side::Server, Side::Client]
            .map(|side| Cable { interface: side.interface(), mac: side.mac() });
        let testbed = Self { pair: Pair::new(cables)? };
        for side in [Side::Server, Side::Client] {
            let count = config.kernel_addresses[usize::from(side == Side::Client)];
            if count > 0 {
                testbed.configure_kernel(side, count)?;
            }
            if config.napi == Napi::Threaded {
                let cores = config.cores;
                testbed.end(side).run(move || thread_napi(side, cores))?;
            }
        }
        Ok(testbed)
    }

    /// Returns the end on this side.
    pub(super) const fn end(&self, side: Side) -> &End {
        match side {
            Side::Server => &self.pair.ends[0],
            Side::Client => &self.pair.ends[1],
        }
    }

    /// Returns the drops of the interfaces since their creation.
    pub(super) fn drops(&self) -> Drops {
        let [server_tx, server_rx] = self.end(Side::Server).counted(DROPPED);
        let [client_tx, client_rx] = self.end(Side::Client).counted(DROPPED);
        Drops { server_tx, server_rx, client_tx, client_rx, sockets: 0 }
    }

    /// Returns the number of packets that both interfaces sent since their creation.
    pub(super) fn packets(&self) -> u64 {
        let sent = |side| self.end(side).counted(["tx_packets"])[0];
        sent(Side::Server) + sent(Side::Client)
    }

    /// Returns the number of connections that the kernel's stack accepted on the server's side.
    pub(super) fn passive_opens(&self) -> Option<u64> {
        // /proc/net would show the namespace of the main thread, not of this one.
        let read = || std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
        let text = self.end(Side::Server).run(read);
        let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
        let (names, values) = (rows.next()?, rows.next()?);
        let at = names.split_whitespace().position(|name| name == "PassiveOpens")?;
        values.split_whitespace().nth(at)?.parse().ok()
    }

    /// Configures addresses and settings of the kernel's stack on a side.
    fn configure_kernel(&self, side: Side, count: usize) -> Result<(), Failure> {
        let end = self.end(side);
        for index in 0..count {
            end.add_address(Cidr { address: side.address(index).into(), prefix: PREFIX })?;
        }
        end.run(kernel_settings)
    }
}

/// Tunes the kernel's stack for the benchmark: all ports for active opens, a practically unlimited
/// number of TIME-WAITs with reuse, and CUBIC or NewReno as congestion control.
fn kernel_settings() -> Result<(), Failure> {
    let ipv4 = |name: &str, value: &str| setting(&format!("/proc/sys/net/ipv4/{name}"), value);
    ipv4("tcp_congestion_control", "cubic").or_else(|_| ipv4("tcp_congestion_control", "reno"))?;
    ipv4("ip_local_port_range", "1024 65535")?;
    ipv4("tcp_tw_reuse", "1")?;
    ipv4("tcp_max_tw_buckets", "4194304")?;
    // Some kernels offer these only in the initial namespace.
    let _ = ipv4("tcp_max_syn_backlog", "65536");
    let _ = setting("/proc/sys/net/core/somaxconn", "65536");
    Ok(())
}

fn thread_napi(side: Side, [server_core, client_core]: [usize; 2]) -> Result<(), Failure> {
    let name = side.interface();
    // Without GRO and without an XDP program, veth does not use NAPI.
    tool("ethtool", &format!("-K {name} gro on"))?;
    setting(&format!("/sys/class/net/{name}/threaded"), "1")?;
    tool("tc", &format!("qdisc replace dev {name} root pfifo"))?;
    let other = if side == Side::Server { client_core } else { server_core };
    let mut cores = CpuSet::new();
    let pinned = cores.set(other).and_then(|()| {
        threads_named(&format!("napi/{name}-"))
            .try_for_each(|pid| sched_setaffinity(Pid::from_raw(pid), &cores))
    });
    pinned.map_err(|error| {
        let tried = format!("cannot pin the NAPI thread of {name}");
        Failure::new(tried, error, "use --napi inline, or different --cores")
    })
}

/// Returns the kernel threads whose name starts with `prefix` (the kernel truncates names to 15
/// bytes).
fn threads_named(prefix: &str) -> impl Iterator<Item = i32> {
    let prefix = prefix.to_owned();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|comm| comm.starts_with(&prefix))
    })
}
