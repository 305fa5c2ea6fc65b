//! A veth pair between two fresh network namespaces, set up alike for both stacks.
//!
//! Fresh for every run: nothing of one run (TIME-WAITs, ports, neighbours, counters) is left to the next.

use std::net::Ipv4Addr;

use clap::ValueEnum;
use linerate::wire::MacAddr;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use crate::failure::Failure;
use crate::netns::{Cable, End, Pair, setting, tool};
use crate::network::Cidr;

/// Bits of the network of all addresses here.
pub const PREFIX: u8 = 16;

/// The counters of packets that an interface lost, sending and receiving.
const DROPPED: [&str; 2] = ["tx_dropped", "rx_dropped"];

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
    pair: Pair,
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
        let cables = [Side::Server, Side::Client]
            .map(|side| Cable { interface: side.interface(), mac: side.mac() });
        let lab = Self { pair: Pair::new(cables)? };
        for side in [Side::Server, Side::Client] {
            if let Some(sources) = wish.kernel_sources {
                lab.give_to_kernel(side, sources)?;
            }
            if wish.napi == Napi::Threaded {
                let cores = wish.cores;
                lab.end(side).run(move || thread_napi(side, cores))?;
            }
        }
        Ok(lab)
    }

    /// A side of the pair.
    pub const fn end(&self, side: Side) -> &End {
        match side {
            Side::Server => &self.pair.ends[0],
            Side::Client => &self.pair.ends[1],
        }
    }

    /// What the interfaces dropped since they were made.
    pub fn drops(&self) -> Drops {
        let [server_tx, server_rx] = self.end(Side::Server).counted(DROPPED);
        let [client_tx, client_rx] = self.end(Side::Client).counted(DROPPED);
        Drops { server_tx, server_rx, client_tx, client_rx, sockets: 0 }
    }

    /// Packets that both interfaces sent since they were made.
    pub fn packets(&self) -> u64 {
        let sent = |side| self.end(side).counted(["tx_packets"])[0];
        sent(Side::Server) + sent(Side::Client)
    }

    /// Connections that the kernel's stack on the server's side took in.
    pub fn passive_opens(&self) -> Option<u64> {
        // Of the thread, not the process: its namespace is another.
        let read = || std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
        let text = self.end(Side::Server).run(read);
        let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
        let (names, values) = (rows.next()?, rows.next()?);
        let at = names.split_whitespace().position(|name| name == "PassiveOpens")?;
        values.split_whitespace().nth(at)?.parse().ok()
    }

    /// Lets the kernel's stack work on a side: its addresses, so many on the client's, and settings.
    fn give_to_kernel(&self, side: Side, sources: usize) -> Result<(), Failure> {
        let end = self.end(side);
        let count = if side == Side::Client { sources } else { 1 };
        for index in 0..count {
            end.add_address(Cidr { address: side.address(index).into(), prefix: PREFIX })?;
        }
        end.run(kernel_settings)
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
