//! The options that `serve`, `load` and `trace` share: the stack, its interface and its settings.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::control::ControlOption;
use super::failure::Failure;
use super::link_options::{Link, LinkOptions};
use super::network::{Cidr, Numbers};
use super::sizes::{BufferSizes, Size};

/// The TCP implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stack {
    /// This stack, over AF_XDP or a TAP device (--link).
    Linerate,
    /// The kernel's sockets, over epoll.
    Kernel,
}

impl Stack {
    /// Returns the name as reports write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linerate => "linerate",
            Self::Kernel => "kernel",
        }
    }
}

/// Sharing of the interface with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The stack has addresses of its own and answers ARP, NDP and ICMP echo itself.
    Exclusive,
    /// The interface keeps the kernel's address; the stack takes over only the ports of the
    /// services.
    Shared,
}

/// The XDP attach mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum XdpMode {
    /// Native, or generic if the driver does not support native; the start-up log shows which.
    Auto,
    /// In the driver.
    Native,
    /// In the kernel's network core: works with every driver, but is slower.
    Generic,
}

/// Duplicate address detection: checks that no other host uses the stack's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Claim {
    /// Probes for a quarter of a second.
    Quick,
    /// Uses the intervals of RFC 5227 and RFC 4862: up to seven seconds.
    Thorough,
    /// No detection.
    Off,
}

/// Zero-copy mode of the AF_XDP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ZeroCopy {
    /// Zero-copy if the driver supports it; the start-up log shows which.
    Auto,
    /// Zero-copy; fails if the driver does not support it.
    On,
    /// Copy.
    Off,
}

/// Congestion control of new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CongestionControl {
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
    /// Returns the name as the command line writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newreno => "newreno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Dctcp => "dctcp",
        }
    }

    /// Returns the kernel's name for it.
    pub(crate) fn kernel_name(self) -> &'static str {
        match self {
            Self::Newreno => "reno",
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Dctcp => "dctcp",
        }
    }
}

/// Early exit from the first slow start of CUBIC, before a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SlowStart {
    /// HyStart++ (RFC 9406): slows down when round trips grow, and exits if they stay longer.
    #[value(name = "hystart++")]
    HystartPlusPlus,
    /// The original HyStart, as in Linux: exits when round trips grow.
    Hystart,
    /// None: only a loss ends slow start.
    Loss,
}

/// Explicit congestion notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ecn {
    /// Never.
    Off,
    /// When the peer requests it.
    Passive,
    /// Requests it (RFC 3168).
    On,
    /// Requests accurate ECN (RFC 9768).
    Accurate,
}

/// Packetization layer path MTU discovery (RFC 4821): the paths that are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Probing {
    /// None: the path MTU follows ICMP messages only.
    Off,
    /// Black holes: paths that drop large packets without an ICMP message.
    Blackhole,
    /// All, starting with small packets.
    On,
}

/// Behaviour of an idle worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Idle {
    /// Poll without a pause: lowest latency, a core at 100 %.
    Spin,
    /// Poll for a moment, then sleep until something arrives; sleep at once while other threads
    /// want the core (kernel: always at once).
    Adaptive,
    /// Sleep at once until something arrives: for workers that share a core.
    Sleep,
}

/// The stack, its interface and its settings.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Stack")]
pub(crate) struct StackOptions {
    /// TCP stack: linerate, or the kernel's sockets over epoll for comparison
    #[arg(long, value_enum, default_value = "linerate")]
    pub stack: Stack,

    /// Network interface to run on, for example eth0. Required with --stack linerate; with --stack
    /// kernel the kernel's routes decide. With --link tap, name of the device to create [default
    /// with --link tap: tap0]
    #[arg(long, value_name = "IF")]
    pub interface: Option<String>,

    #[command(flatten)]
    pub link: LinkOptions,

    /// Address of the stack with its prefix, for example 10.0.0.2/24 or fd00::2/64; repeat for
    /// several. Required with --stack linerate, unless --slaac or --mode shared. With --stack
    /// kernel these must be addresses of this host [default with --stack kernel: all of them]
    #[arg(long = "address", value_name = "CIDR")]
    pub addresses: Vec<Cidr>,

    /// Autoconfigure IPv6 addresses from router advertisements (SLAAC), in addition to --address;
    /// use the advertised routes and parameters too. Meanwhile the kernel receives no
    /// advertisements on the interface
    #[arg(long)]
    pub slaac: bool,

    /// Default gateway; repeat for one IPv4 and one IPv6 gateway
    #[arg(long = "gateway", value_name = "IP")]
    pub gateways: Vec<IpAddr>,

    /// Queues of the interface to use, one worker per queue: 0, 0-1 or 0,2 [default: 0]. With
    /// --stack kernel only the number of queues matters: one thread per queue
    #[arg(long, value_name = "LIST")]
    pub queues: Option<Numbers>,

    /// Set the NIC's RSS table to spread flows over these queues only; restored at exit. linerate
    /// only
    #[arg(long)]
    pub set_rss: bool,

    /// Turn off NIC offloads that break AF_XDP (LRO, VLAN stripping); restored at exit. linerate
    /// only
    #[arg(long)]
    pub set_offloads: bool,

    /// Timestamp each received frame and report in `linerate top` how long frames wait for the
    /// worker; linerate only
    #[arg(long)]
    pub rx_timestamps: bool,

    /// Preferred busy polling: the worker's system calls poll the device, for up to this many
    /// microseconds each, instead of interrupts. Requires napi_defer_hard_irqs and
    /// gro_flush_timeout; linerate only
    #[arg(long, value_name = "MICROSECONDS", num_args = 0..=1, default_missing_value = "20",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub busy_poll: Option<u32>,

    /// CPU cores to pin the workers to, in the order of the queues [default: cores that this
    /// process may use, those of the NIC's NUMA node first, and one thread of each physical core
    /// before its second]
    #[arg(long, value_name = "LIST")]
    pub cores: Option<Numbers>,

    /// Sharing with the kernel: own addresses, or own ports on the kernel's address
    #[arg(long, value_enum, default_value = "exclusive")]
    pub mode: Mode,

    /// XDP attach mode
    #[arg(long, value_enum, default_value = "auto")]
    pub xdp_mode: XdpMode,

    /// Share frames with the device without a copy
    #[arg(long, value_enum, default_value = "auto")]
    pub zero_copy: ZeroCopy,

    /// Frame memory in bytes: 2048, or 4096 for drivers that would split a packet over smaller
    /// chunks [default: depends on the driver]
    #[arg(long, value_name = "BYTES", value_parser = chunk_bytes)]
    pub chunk_bytes: Option<u32>,

    /// Congestion control of new connections [default: cubic; with --stack kernel the kernel's
    /// setting]
    #[arg(long, value_enum, value_name = "NAME")]
    pub congestion_control: Option<CongestionControl>,

    /// Early exit from the first slow start of CUBIC [default: hystart++]; linerate only
    #[arg(long, value_enum, value_name = "SIGN")]
    pub slow_start: Option<SlowStart>,

    /// Duplicate address detection before the stack uses its addresses (ARP probes for IPv4,
    /// neighbor solicitations for IPv6)
    #[arg(long, value_enum, default_value = "quick")]
    pub claim: Claim,

    /// Behaviour of an idle worker
    #[arg(long, value_enum, default_value = "adaptive")]
    pub idle: Idle,

    /// Hold small segments back while data is unacknowledged (Nagle's algorithm). Off by default on
    /// both stacks (TCP_NODELAY)
    #[arg(long)]
    pub nagle: bool,

    /// Explicit congestion notification: never, when the peer requests it, always request it (RFC
    /// 3168), or request accurate ECN (RFC 9768) [default: passive]; linerate only (kernel:
    /// net.ipv4.tcp_ecn)
    #[arg(long, value_enum, value_name = "WHEN")]
    pub ecn: Option<Ecn>,

    /// Probe paths for the largest packet that gets through (RFC 4821): none, only black holes for
    /// large packets, or all [default: blackhole]; linerate only (kernel: net.ipv4.tcp_mtu_probing)
    #[arg(long, value_enum, value_name = "WHEN")]
    pub mtu_probing: Option<Probing>,

    /// TCP Fast Open (RFC 7413): `serve` accepts data in a SYN with a valid cookie, `load` sends
    /// the first request of a connection in the SYN once it has the server's cookie. Only for
    /// idempotent requests: a server may receive the data twice. The kernel's sockets also need
    /// net.ipv4.tcp_fastopen=3
    #[arg(long)]
    pub fast_open: bool,

    /// Frames received per turn, 1 to 256
    #[arg(long, value_name = "N", default_value = "64",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: u16,

    /// Connections per worker
    #[arg(long, value_name = "N", default_value = "131072",
        value_parser = clap::value_parser!(u32).range(1..=67_108_864))]
    pub max_connections: u32,

    /// Receive buffer of a connection: initial size, and the maximum that it grows to as the
    /// program reads faster [default: 64K:16M]; linerate only (kernel: net.ipv4.tcp_rmem)
    #[arg(long, value_name = "INITIAL:MAX")]
    pub receive_buffer: Option<BufferSizes>,

    /// Send buffer of a connection: initial size, and the maximum that it grows to with the
    /// congestion window [default: 64K:16M]; linerate only (kernel: net.ipv4.tcp_wmem)
    #[arg(long, value_name = "INITIAL:MAX")]
    pub send_buffer: Option<BufferSizes>,

    /// Buffer memory of one worker's connections; when it runs short, receive windows shrink
    /// [default: 1G]; linerate only (kernel: net.ipv4.tcp_mem)
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Size>,

    /// Total buffer memory, shared by all workers as they need it [default: --memory times the
    /// number of workers]; linerate only
    #[arg(long, value_name = "SIZE")]
    pub memory_total: Option<Size>,

    /// Capture all frames of the stack in this pcap file (tcpdump does not see them); linerate only
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,

    /// Control socket for `linerate top` and `linerate connections`; `off` for none [default:
    /// /run/linerate/PID.sock as root, else linerate/PID.sock in XDG_RUNTIME_DIR]; linerate only
    #[arg(long, value_name = "PATH")]
    pub control: Option<ControlOption>,

    /// Impair the link, for example `loss=1%,delay=10ms,jitter=1ms,reorder=2%`; linerate only
    #[arg(long, value_name = "SPEC")]
    pub impair: Option<String>,
}

fn chunk_bytes(text: &str) -> Result<u32, String> {
    match text {
        "2048" => Ok(2048),
        "4096" => Ok(4096),
        _ => Err("give 2048 or 4096".to_owned()),
    }
}

impl StackOptions {
    /// Checks that the options fit together.
    ///
    /// # Errors
    /// Returns a usage failure for an invalid combination.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.stack {
            Stack::Linerate => self.check_linerate()?,
            Stack::Kernel => self.check_kernel()?,
        }
        match &self.cores {
            Some(cores) if cores.0.len() != self.workers() => Err(Failure::usage(
                "cannot pin the workers",
                format!("{} cores for {} queues", cores.0.len(), self.workers()),
                "give one core in --cores for each queue in --queues",
            )),
            _ => Ok(()),
        }
    }

    fn check_linerate(&self) -> Result<(), Failure> {
        let action = "cannot start the stack";
        match self.link.link {
            Link::Xdp => self.check_xdp()?,
            Link::Tap => self.check_tap()?,
        }
        if self.interface.is_none() && self.link.link == Link::Xdp {
            return Err(Failure::usage(
                action,
                "--interface is missing",
                "give --interface a name that `ip link` lists, or use --stack kernel, or try it \
                 without an interface: --link tap",
            ));
        }
        if self.slaac && self.mode == Mode::Shared {
            return Err(Failure::usage(
                action,
                "--slaac configures addresses of the stack, but --mode shared uses the kernel's",
                "omit --slaac, or use --mode exclusive",
            ));
        }
        if self.addresses.is_empty() && !self.slaac && self.mode == Mode::Exclusive {
            return Err(Failure::usage(
                action,
                "--address is missing",
                "give the stack its own address, as in --address 10.0.0.2/24, or use --slaac if \
                 the link has a router",
            ));
        }
        Ok(())
    }

    fn check_xdp(&self) -> Result<(), Failure> {
        if self.link.tap_addresses.is_empty() {
            return Ok(());
        }
        Err(Failure::usage(
            "cannot use --tap-address with --link xdp",
            "only a TAP device has the kernel at its other end",
            "omit --tap-address, or use --link tap",
        ))
    }

    fn check_tap(&self) -> Result<(), Failure> {
        for (given, name) in [
            (self.mode == Mode::Shared, "--mode shared"),
            (self.set_rss, "--set-rss"),
            (self.set_offloads, "--set-offloads"),
            (self.rx_timestamps, "--rx-timestamps"),
            (self.busy_poll.is_some(), "--busy-poll"),
            (self.chunk_bytes.is_some(), "--chunk-bytes"),
            (self.xdp_mode != XdpMode::Auto, "--xdp-mode"),
            (self.zero_copy != ZeroCopy::Auto, "--zero-copy"),
        ] {
            if given {
                return Err(Failure::usage(
                    format!("cannot use {name} with --link tap"),
                    "it concerns a network interface with an XDP program, not a TAP device",
                    format!("omit {name}, or use --link xdp"),
                ));
            }
        }
        Ok(())
    }

    fn check_kernel(&self) -> Result<(), Failure> {
        for (given, name) in [
            (self.link.link == Link::Tap, "--link tap"),
            (!self.link.tap_addresses.is_empty(), "--tap-address"),
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
                    "it configures linerate's own stack, not the kernel's sockets",
                    format!("omit {name}, or use --stack linerate"),
                ));
            }
        }
        Ok(())
    }

    /// Returns the number of workers: one per queue, without --queues one per core, else one.
    pub(crate) fn workers(&self) -> usize {
        match (&self.queues, &self.cores) {
            (Some(queues), _) => queues.0.len(),
            (None, Some(cores)) if self.stack == Stack::Kernel => cores.0.len(),
            _ => 1,
        }
    }
}
