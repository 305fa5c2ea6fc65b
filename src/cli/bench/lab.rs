//! A veth pair between two fresh network namespaces, set up alike for both stacks.
//!
//! Fresh for every run: nothing of one run (TIME-WAITs, ports, neighbours, counters) is left to the next.

use std::net::Ipv4Addr;
use std::process::Command;

use clap::ValueEnum;
use linerate::wire::MacAddr;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use super::namespace::Namespace;
use crate::cli::failure::Failure;

/// Bits of the network of all addresses here.
pub const PREFIX: u8 = 16;

/// Where the kernel runs the receiving half of the veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Napi {
    /// On the sender's core, within its system call: as the kernel makes a veth pair.
    Inline,
    /// In a thread, on the other core than the end it receives for, behind a pfifo queue.
    Threaded,
}

/// Which half of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where connections are opened to.
    Server,
    /// Where they are opened from.
    Client,
}

/// Packets lost on the pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// Counted by the server's interface: the client's ring was full.
    pub server_tx: u64,
    /// Counted by the server's interface on arrival.
    pub server_rx: u64,
    /// Counted by the client's interface: the server's ring was full.
    pub client_tx: u64,
    /// Counted by the client's interface on arrival.
    pub client_rx: u64,
    /// Counted by the AF_XDP sockets that are this process's own: rx ring full, fill ring empty.
    pub sockets: u64,
}

impl Drops {
    /// What came since `earlier`.
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            server_tx: self.server_tx.saturating_sub(earlier.server_tx),
            server_rx: self.server_rx.saturating_sub(earlier.server_rx),
            client_tx: self.client_tx.saturating_sub(earlier.client_tx),
            client_rx: self.client_rx.saturating_sub(earlier.client_rx),
            sockets: self.sockets.saturating_sub(earlier.sockets),
        }
    }

    /// Both together.
    pub const fn add(&mut self, other: &Self) {
        self.server_tx += other.server_tx;
        self.server_rx += other.server_rx;
        self.client_tx += other.client_tx;
        self.client_rx += other.client_rx;
        self.sockets += other.sockets;
    }

    /// In all.
    pub const fn total(&self) -> u64 {
        self.server_tx + self.server_rx + self.client_tx + self.client_rx + self.sockets
    }
}

/// What the pair has to be.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The cores of the server and of the client.
    pub cores: [usize; 2],
    /// How frames arrive.
    pub napi: Napi,
    /// The kernel gets the addresses, so many on the client's side; `None` leaves it without.
    pub kernel_sources: Option<usize>,
}

/// The pair. Dropping it takes everything away.
#[derive(Debug)]
pub struct Lab {
    server: Namespace,
    client: Namespace,
}

impl Side {
    /// The interface on this side. Unique to the process, since the threads of NAPI are named after it.
    pub fn interface(self) -> String {
        let end = match self {
            Self::Server => 's',
            Self::Client => 'c',
        };
        format!("b{}{end}", std::process::id() % 100_000)
    }

    /// Its link-layer address.
    pub const fn mac(self) -> MacAddr {
        match self {
            Self::Server => MacAddr([0x02, 0x6c, 0x72, 0, 0, 1]),
            Self::Client => MacAddr([0x02, 0x6c, 0x72, 0, 0, 2]),
        }
    }

    /// The address number `index` on this side.
    pub const fn address(self, index: usize) -> Ipv4Addr {
        let [high, low] = ((index + 1) as u16).to_be_bytes();
        match self {
            Self::Server => Ipv4Addr::new(10, 77, high, low),
            Self::Client => Ipv4Addr::new(10, 77, 100 + high, low),
        }
    }
}

impl Lab {
    /// Makes the pair.
    ///
    /// # Errors
    /// Without the privileges, or without iproute2 and ethtool.
    pub fn new(wish: &Wish) -> Result<Self, Failure> {
        let lab = Self { server: Namespace::new()?, client: Namespace::new()? };
        lab.make_pair()?;
        for side in [Side::Server, Side::Client] {
            let wish = *wish;
            lab.namespace(side).run(move || set_up(side, &wish))?;
        }
        Ok(lab)
    }

    /// The namespace of a side.
    pub const fn namespace(&self, side: Side) -> &Namespace {
        match side {
            Side::Server => &self.server,
            Side::Client => &self.client,
        }
    }

    /// What the interfaces dropped since they were made.
    pub fn drops(&self) -> Drops {
        let [server_tx, server_rx] = self.counted(Side::Server, ["tx_dropped", "rx_dropped"]);
        let [client_tx, client_rx] = self.counted(Side::Client, ["tx_dropped", "rx_dropped"]);
        Drops { server_tx, server_rx, client_tx, client_rx, sockets: 0 }
    }

    /// Packets that both interfaces sent since they were made.
    pub fn packets(&self) -> u64 {
        let sent = |side| self.counted(side, ["tx_packets"])[0];
        sent(Side::Server) + sent(Side::Client)
    }

    /// Connections that the kernel's stack on the server's side took in.
    pub fn passive_opens(&self) -> Option<u64> {
        // Of the thread, not the process: its namespace is another.
        let read = || std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
        let text = self.server.run(read);
        let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
        let (names, values) = (rows.next()?, rows.next()?);
        let at = names.split_whitespace().position(|name| name == "PassiveOpens")?;
        values.split_whitespace().nth(at)?.parse().ok()
    }

    fn counted<const N: usize>(&self, side: Side, names: [&'static str; N]) -> [u64; N] {
        self.namespace(side).run(move || {
            names.map(|name| {
                let path = format!("/sys/class/net/{}/statistics/{name}", side.interface());
                let text = std::fs::read_to_string(path).unwrap_or_default();
                text.trim().parse().unwrap_or(0)
            })
        })
    }

    fn make_pair(&self) -> Result<(), Failure> {
        let [server, client] = [Side::Server, Side::Client];
        let arguments = format!(
            "link add {} address {} numrxqueues 1 numtxqueues 1 type veth peer name {} address {} \
             numrxqueues 1 numtxqueues 1 netns {}",
            server.interface(),
            server.mac(),
            client.interface(),
            client.mac(),
            self.client.path(),
        );
        self.server.run(move || tool("ip", &arguments))
    }
}

/// Inside its namespace: the interface of a side, and the settings of the kernel's stack.
fn set_up(side: Side, wish: &Wish) -> Result<(), Failure> {
    let name = side.interface();
    // The kernel's own neighbour discovery is not part of the load.
    setting(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1")?;
    tool("ip", "link set lo up")?;
    if let Some(sources) = wish.kernel_sources {
        let count = if side == Side::Client { sources } else { 1 };
        for index in 0..count {
            tool("ip", &format!("address add {}/{PREFIX} dev {name}", side.address(index)))?;
        }
        kernel_settings()?;
    }
    // Partial checksums are a shortcut of the kernel with itself, which a wire does not offer.
    tool("ethtool", &format!("-K {name} tx off"))?;
    tool("ip", &format!("link set {name} up"))?;
    match wish.napi {
        Napi::Inline => Ok(()),
        Napi::Threaded => thread_napi(side, wish.cores),
    }
}

/// The kernel's stack with every chance: all ports for active opens, TIME-WAITs without a bound and
/// reusable, and a congestion control of the RFCs where the host prefers another.
fn kernel_settings() -> Result<(), Failure> {
    let ipv4 = |name: &str, value: &str| setting(&format!("/proc/sys/net/ipv4/{name}"), value);
    ipv4("tcp_congestion_control", "cubic").or_else(|_| ipv4("tcp_congestion_control", "reno"))?;
    ipv4("ip_local_port_range", "1024 65535")?;
    ipv4("tcp_tw_reuse", "1")?;
    ipv4("tcp_max_tw_buckets", "4194304")?;
    // Listed in some kernels only as a setting of the host.
    let _ = ipv4("tcp_max_syn_backlog", "65536");
    let _ = setting("/proc/sys/net/core/somaxconn", "65536");
    Ok(())
}

fn thread_napi(side: Side, [server_core, client_core]: [usize; 2]) -> Result<(), Failure> {
    let name = side.interface();
    // Without GRO a veth without a program has no NAPI to be threaded.
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
        Failure::new(tried, error, "use --napi inline, or other --cores")
    })
}

/// Kernel threads whose name begins so (the kernel cuts names to fifteen bytes).
fn threads_named(prefix: &str) -> impl Iterator<Item = i32> {
    let prefix = prefix.to_owned();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|comm| comm.starts_with(&prefix))
    })
}

fn setting(path: &str, value: &str) -> Result<(), Failure> {
    std::fs::write(path, value).map_err(|error| {
        Failure::new(
            format!("cannot set {path} to {value}"),
            error,
            "run as root on a kernel that has this setting",
        )
    })
}

/// Runs a tool of the host in the calling thread's namespace.
fn tool(name: &str, arguments: &str) -> Result<(), Failure> {
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
