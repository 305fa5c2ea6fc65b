//! What a shard is told when it is made.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;

use crate::limits::Limits;
use crate::role::Role;
use crate::shard::flow::steer::Steering;
use crate::tcp::Settings;
use crate::time::Duration;
use crate::wire::ethernet::MacAddr;

/// The configuration of one shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it reserves.
    pub limits: Limits,
    /// How its TCP behaves. The segment sizes are bounded by `mtu`.
    pub settings: Settings,
    /// The interface's address.
    pub mac: MacAddr,
    /// The interface's MTU: bytes of an IP packet.
    pub mtu: usize,
    /// Its addresses, each with the length of its network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Where packets go that are for no network of ours.
    pub gateway_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub gateway_v6: Option<Ipv6Addr>,
    /// Whether the addresses are its own or the kernel's.
    pub role: Role,
    /// Which of the workers this is, from 0.
    pub worker: u16,
    /// Workers of the stack.
    pub workers: u16,
    /// From the operating system's random source: keys the flow hash, initial sequence numbers,
    /// timestamp offsets and cookies. All workers have the same, so that one can check another's cookie.
    pub secret: [u8; 32],
    /// How the interface spreads flows over queues.
    pub steering: Steering,
    /// Source ports of active opens, of all workers together.
    pub ports: RangeInclusive<u16>,
    /// Takes segments whose TCP sum covers only the pseudo-header, as a virtual link's peer with checksum
    /// offload sends them: what was corrupted on the way is then not noticed.
    pub accept_partial_checksums: bool,
    /// Hops allowed to what is sent (RFC 9293 MUST-49): 64 is what hosts use. Fewer, and far networks are
    /// out of reach.
    pub hop_limit: u8,
    /// How addresses of our own are claimed before they are used; `None` takes them at once.
    pub claiming: Option<DadConfig>,
    /// In exclusive mode, make IPv6 addresses of what routers say (RFC 4862), and listen to them for the rest: the
    /// secret of the interface identifiers (RFC 7217 §5), which is to be the same at every start.
    pub autoconf: Option<[u8; 16]>,
}

/// See [`Config::hop_limit`].
pub const HOP_LIMIT: u8 = 64;

impl Config {
    /// A shard on its own, the defaults for everything else.
    pub fn new(mac: MacAddr, addresses: Vec<(IpAddr, u8)>, secret: [u8; 32]) -> Self {
        Self {
            limits: Limits::default(),
            settings: Settings::default(),
            mac,
            mtu: 1500,
            addresses,
            gateway_v4: None,
            gateway_v6: None,
            role: Role::Exclusive,
            worker: 0,
            workers: 1,
            secret,
            steering: Steering::default(),
            // RFC 6056 §3.2 asks for as many as possible, and 1024-65535 at least to be considered;
            // listeners of the same address are skipped by the flow table, not by the range.
            ports: 1024..=65535,
            accept_partial_checksums: false,
            hop_limit: HOP_LIMIT,
            claiming: None,
            autoconf: None,
        }
    }
}

/// How often and how long it is asked whether somebody has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// The first question waits for a time drawn below this, so that hosts that start together do not
    /// ask together.
    pub delay_max: Duration,
    /// Questions.
    pub probes: u8,
    /// Between two of them, at least …
    pub interval: Duration,
    /// … and a time drawn below this.
    pub spread: Duration,
    /// From the last one until the address is ours.
    pub wait: Duration,
}

/// How addresses are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DadConfig {
    /// RFC 5227 §2.1.1.
    pub ipv4: Probing,
    /// RFC 4862 §5.4.
    pub ipv6: Probing,
}

impl DadConfig {
    /// A quarter of a second: a host on the same link answers within milliseconds. One that sleeps, or
    /// sits behind a bridge port that has just come up, is missed.
    pub const QUICK: Self = {
        let zero = Duration::ZERO;
        let ms = Duration::from_millis;
        Self {
            ipv4: Probing {
                delay_max: zero,
                probes: 2,
                interval: ms(100),
                spread: zero,
                wait: ms(150),
            },
            ipv6: Probing {
                delay_max: zero,
                probes: 1,
                interval: zero,
                spread: zero,
                wait: ms(250),
            },
        }
    };

    /// The times of the RFCs: IPv4 up to seven seconds (RFC 5227 §1.1), IPv6 up to two (`RETRANS_TIMER` and
    /// `MAX_RTR_SOLICITATION_DELAY`, RFC 4861 §10).
    pub const THOROUGH: Self = {
        let s = Duration::from_secs(1);
        Self {
            ipv4: Probing { delay_max: s, probes: 3, interval: s, spread: s, wait: s.times(2) },
            ipv6: Probing { delay_max: s, probes: 1, interval: s, spread: Duration::ZERO, wait: s },
        }
    };

    /// The longest that a claim takes.
    pub fn longest(&self) -> Duration {
        let of = |p: &Probing| {
            p.delay_max
                + (p.interval + p.spread).times(u64::from(p.probes.saturating_sub(1)))
                + p.wait
        };
        of(&self.ipv4).max(of(&self.ipv6))
    }
}
