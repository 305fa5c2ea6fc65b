//! The options that `serve`, `load` and `trace` share: which stack, on what, and how.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::control::Wish;
use super::failure::Failure;
use super::network::{Cidr, Numbers};
use super::sizes::{BufferSizes, Size};

/// Whose TCP is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stack {
    /// This stack, over AF_XDP.
    Linerate,
    /// The kernel's sockets, over epoll.
    Kernel,
}

impl Stack {
    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linerate => "linerate",
            Self::Kernel => "kernel",
        }
    }
}

/// How the stack shares the interface with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The stack has addresses of its own and answers ARP, NDP and ICMP echo itself.
    Exclusive,
    /// The interface keeps the kernel's address; only the services' ports are taken over.
    Shared,
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum XdpMode {
    /// Native, and generic where the driver has none; says which.
    Auto,
    /// In the driver.
    Native,
    /// In the kernel's network core: works on every driver, slower.
    Generic,
}

/// How the stack makes sure that its own addresses are nobody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Claim {
    /// Asks for a quarter of a second.
    Quick,
    /// In the times of RFC 5227 and RFC 4862: up to seven seconds.
    Thorough,
    /// Not at all.
    Off,
}

/// Whether frames are shared with the device without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ZeroCopy {
    /// Where the driver can; says which.
    Auto,
    /// Or fail.
    On,
    /// Never.
    Off,
}

/// Congestion control of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CongestionControl {
    /// RFC 5681, RFC 6582.
    Newreno,
    /// RFC 9438.
    Cubic,
    /// draft-ietf-ccwg-bbr.
    Bbr,
    /// RFC 8257.
    Dctcp,
}

impl CongestionControl {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Newreno => "newreno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Dctcp => "dctcp",
        }
    }

    /// What the kernel calls it.
    pub fn kernel_name(self) -> &'static str {
        match self {
            Self::Newreno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Dctcp => "dctcp",
        }
    }
}

/// What ends the first slow start of CUBIC before a loss does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SlowStart {
    /// HyStart++ (RFC 9406): slower once round trips grow, over if they stay so.
    #[value(name = "hystart++")]
    HystartPlusPlus,
    /// The first HyStart, as Linux has it: over once they grow.
    Hystart,
    /// Nothing.
    Loss,
}

/// Explicit congestion notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ecn {
    /// Never.
    Off,
    /// When the peer asks.
    Passive,
    /// Asked for (RFC 3168).
    On,
    /// Asked for, in the accurate form (RFC 9768).
    Accurate,
}

/// Which paths are searched for the largest packet that they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Probing {
    /// None: only ICMP tells.
    Off,
    /// Those that lose what is large and say nothing.
    Blackhole,
    /// All: packets are small at first.
    On,
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Idle {
    /// Look again at once: lowest latency, a core at 100 %.
    Spin,
    /// Look again for a moment, then sleep until something arrives; at once while others want the core
    /// (kernel: at once).
    Adaptive,
    /// Sleep at once until something arrives: for workers that share a core
    Sleep,
}

/// Which stack, on what, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Stack")]
pub struct StackOptions {
    /// Whose TCP to use: linerate's own over AF_XDP, or the kernel's sockets over epoll, for comparison
    #[arg(long, value_enum, default_value = "linerate")]
    pub stack: Stack,

    /// Network interface to run on, for example eth0 (needed for --stack linerate; the kernel's sockets
    /// follow the kernel's routes instead)
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,

    /// Address of the stack with its prefix, for example 10.0.0.2/24 or fd00::2/64; repeat for several
    /// (needed for --stack linerate). With --stack kernel these must be addresses of this host; none
    /// means any of them
    #[arg(long = "address", value_name = "CIDR")]
    pub addresses: Vec<Cidr>,

    /// Make IPv6 addresses of what routers on the link say (SLAAC), beside those given; their routes and
    /// parameters are taken too. The kernel does not hear routers on the interface meanwhile
    #[arg(long)]
    pub slaac: bool,

    /// Next hop for what is outside of the addresses' networks; one for IPv4, one for IPv6
    #[arg(long = "gateway", value_name = "IP")]
    pub gateways: Vec<IpAddr>,

    /// Queues of the interface to take over, one worker each: 0, 0-1 or 0,2 [default: 0]. With --stack
    /// kernel only their number counts: one thread each
    #[arg(long, value_name = "LIST")]
    pub queues: Option<Numbers>,

    /// Have the NIC spread flows over these queues alone (its RSS table), until the end; linerate only
    #[arg(long)]
    pub set_rss: bool,

    /// Turn off what breaks AF_XDP in the NIC (LRO, stripping of VLAN tags), until the end; linerate only
    #[arg(long)]
    pub set_offloads: bool,

    /// Stamp each frame when it comes in, and tell in `linerate top` how long frames wait for the worker's turn; linerate
    /// only
    #[arg(long)]
    pub rx_timestamps: bool,

    /// Have the device driven by the worker's own calls, up to so many microseconds each, its interrupts off
    /// (preferred busy polling); needs napi_defer_hard_irqs and gro_flush_timeout set; linerate only
    #[arg(long, value_name = "MICROSECONDS", num_args = 0..=1, default_missing_value = "20",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub busy_poll: Option<u32>,

    /// CPU cores to pin the workers to, in the order of the queues [default: the first ones this process
    /// may use; those of the NIC's NUMA node before others, and one thread of a physical core before two]
    #[arg(long, value_name = "LIST")]
    pub cores: Option<Numbers>,

    /// How to live beside the kernel: own addresses, or own ports on the kernel's address
    #[arg(long, value_enum, default_value = "exclusive")]
    pub mode: Mode,

    /// Where the XDP program is attached
    #[arg(long, value_enum, default_value = "auto")]
    pub xdp_mode: XdpMode,

    /// Share frames with the device without copying them
    #[arg(long, value_enum, default_value = "auto")]
    pub zero_copy: ZeroCopy,

    /// Bytes of memory of a frame: 2048, or 4096 for drivers that split frames in less [default: by the driver]
    #[arg(long, value_name = "BYTES", value_parser = chunk_bytes)]
    pub chunk_bytes: Option<u32>,

    /// Congestion control of new connections [default: the stack's own: cubic, or what the kernel is
    /// set to]
    #[arg(long, value_enum, value_name = "NAME")]
    pub congestion_control: Option<CongestionControl>,

    /// What ends the first slow start of CUBIC before a loss does [default: hystart++]; linerate only
    #[arg(long, value_enum, value_name = "SIGN")]
    pub slow_start: Option<SlowStart>,

    /// How addresses of its own are claimed: whether another station has them (ARP probes, duplicate address
    /// detection)
    #[arg(long, value_enum, default_value = "quick")]
    pub claim: Claim,

    /// What a worker does when idle
    #[arg(long, value_enum, default_value = "adaptive")]
    pub idle: Idle,

    /// Hold small segments back while data is unacknowledged (Nagle's algorithm). Off unless given, on
    /// both stacks (TCP_NODELAY)
    #[arg(long)]
    pub nagle: bool,

    /// Explicit congestion notification: never; when the peer asks; ask (RFC 3168); ask for its accurate
    /// form (RFC 9768) [default: passive]; linerate only (the kernel has net.ipv4.tcp_ecn)
    #[arg(long, value_enum, value_name = "WHEN")]
    pub ecn: Option<Ecn>,

    /// Search paths for the largest packet that they take (RFC 4821): never; those that lose large packets
    /// without a word; all [default: blackhole]; linerate only (the kernel has net.ipv4.tcp_mtu_probing)
    #[arg(long, value_enum, value_name = "WHEN")]
    pub mtu_probing: Option<Probing>,

    /// TCP Fast Open (RFC 7413): `serve` takes data from SYNs that show a cookie of its own, `load` sends the
    /// first request of a connection in the SYN once it has the server's. Only for what can bear being served
    /// twice. The kernel's sockets need net.ipv4.tcp_fastopen=3 as well
    #[arg(long)]
    pub fast_open: bool,

    /// Frames received in one turn, 1 to 256
    #[arg(long, value_name = "N", default_value = "64", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: u16,

    /// Connections one worker has room for
    #[arg(long, value_name = "N", default_value = "131072", value_parser = clap::value_parser!(u32).range(1..=67_108_864))]
    pub max_connections: u32,

    /// Receive buffer of a connection: what it begins with, and the most that it grows to as its program reads
    /// faster [default: 64K:16M]; linerate only (the kernel has net.ipv4.tcp_rmem)
    #[arg(long, value_name = "INITIAL:MAX")]
    pub receive_buffer: Option<BufferSizes>,

    /// Send buffer of a connection: what it begins with, and the most that it grows to with the congestion
    /// window [default: 64K:16M]; linerate only (the kernel has net.ipv4.tcp_wmem)
    #[arg(long, value_name = "INITIAL:MAX")]
    pub send_buffer: Option<BufferSizes>,

    /// Memory for the buffers of one worker's connections: when it is short, windows get smaller [default: 1G];
    /// linerate only (the kernel has net.ipv4.tcp_mem)
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,

    /// Memory for the buffers of all workers together, which goes to those that need it [default: as much as
    /// --memory gives to each]; linerate only
    #[arg(long, value_name = "SIZE")]
    pub memory_total: Option<Size>,

    /// Write all frames of the stack to this pcap file (tcpdump does not see them); linerate only
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,

    /// Socket through which `linerate top` and `linerate connections` ask; `off` for none [default:
    /// /run/linerate/PID.sock, or linerate/PID.sock in XDG_RUNTIME_DIR]; linerate only
    #[arg(long, value_name = "PATH")]
    pub control: Option<Wish>,

    /// Impair the link, for example `loss=1%,delay=10ms,jitter=1ms,reorder=2%`; linerate only
    #[arg(long, value_name = "SPEC")]
    pub impair: Option<String>,
}

fn chunk_bytes(text: &str) -> Result<u32, String> {
    match text {
        "2048" => Ok(2048),
        "4096" => Ok(4096),
        _ => Err("a frame takes 2048 or 4096 bytes".to_owned()),
    }
}

impl StackOptions {
    /// Checks what one option alone cannot tell.
    ///
    /// # Errors
    /// Combinations that make no sense, as usage failures.
    pub fn check(&self) -> Result<(), Failure> {
        match self.stack {
            Stack::Linerate => self.check_linerate()?,
            Stack::Kernel => self.check_kernel()?,
        }
        match &self.cores {
            Some(cores) if cores.0.len() != self.workers() => Err(Failure::usage(
                "cannot pin the workers",
                format!("{} cores for {} queues", cores.0.len(), self.workers()),
                "give as many --cores as --queues: each queue has a worker on a core of its own",
            )),
            _ => Ok(()),
        }
    }

    fn check_linerate(&self) -> Result<(), Failure> {
        let tried = "cannot bring the stack up";
        if self.interface.is_none() {
            return Err(Failure::usage(
                tried,
                "no --interface is given",
                "name one of `ip link` with --interface, or use --stack kernel",
            ));
        }
        if self.slaac && self.mode == Mode::Shared {
            return Err(Failure::usage(
                tried,
                "--slaac is given, and the addresses are the kernel's",
                "leave --slaac out, or use --mode exclusive",
            ));
        }
        if self.addresses.is_empty() && !self.slaac && self.mode == Mode::Exclusive {
            return Err(Failure::usage(
                tried,
                "no --address is given",
                "give the stack an address of its own, as in --address 10.0.0.2/24, or --slaac where a router tells one",
            ));
        }
        Ok(())
    }

    fn check_kernel(&self) -> Result<(), Failure> {
        for (given, name) in [
            (self.pcap.is_some(), "--pcap"),
            (self.impair.is_some(), "--impair"),
            (self.ecn.is_some(), "--ecn"),
            (self.slow_start.is_some(), "--slow-start"),
            (self.mtu_probing.is_some(), "--mtu-probing"),
            (self.control.is_some(), "--control"),
            (self.set_rss, "--set-rss"),
            (self.set_offloads, "--set-offloads"),
            (self.rx_timestamps, "--rx-timestamps"),
            (self.busy_poll.is_some(), "--busy-poll"),
            (self.receive_buffer.is_some(), "--receive-buffer"),
            (self.send_buffer.is_some(), "--send-buffer"),
            (self.memory.is_some(), "--memory"),
            (self.memory_total.is_some(), "--memory-total"),
            (self.slaac, "--slaac"),
        ] {
            if given {
                return Err(Failure::usage(
                    format!("cannot use {name} with --stack kernel"),
                    "it acts on linerate's own stack, not on the kernel's sockets",
                    format!("leave {name} out, or run with --stack linerate"),
                ));
            }
        }
        Ok(())
    }

    /// One worker a queue; without queues, one a core; without both, one.
    pub fn workers(&self) -> usize {
        match (&self.queues, &self.cores) {
            (Some(queues), _) => queues.0.len(),
            (None, Some(cores)) if self.stack == Stack::Kernel => cores.0.len(),
            _ => 1,
        }
    }
}
