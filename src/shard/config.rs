//! The configuration of a shard.

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
    /// Bounds of all memory, which the shard reserves at the start.
    pub limits: Limits,
    /// TCP settings. `mtu` bounds their segment sizes.
    pub settings: Settings,
    /// MAC address of the interface.
    pub mac: MacAddr,
    /// MTU of the interface: bytes of an IP packet.
    pub mtu: usize,
    /// Local addresses, each with the prefix length of its network.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Default gateway for IPv4.
    pub gateway_v4: Option<Ipv4Addr>,
    /// Default gateway for IPv6.
    pub gateway_v6: Option<Ipv6Addr>,
    /// Selects exclusive mode (the stack owns the addresses) or shared mode (the kernel owns them).
    pub role: Role,
    /// Number of this worker, from 0.
    pub worker: u16,
    /// Number of workers of the stack.
    pub workers: u16,
    /// Secret from the operating system's random source. Keys the flow hash, initial sequence
    /// numbers, timestamp offsets and cookies. All workers share it, so that each can check
    /// another's cookies.
    pub secret: [u8; 32],
    /// Steering of flows to queues.
    pub steering: Steering,
    /// Source ports of active opens, shared by all workers.
    pub ports: RangeInclusive<u16>,
    /// Accepts segments whose TCP checksum covers only the pseudo-header, as the peer of a virtual
    /// link with checksum offload sends them. Corruption on the way goes unnoticed then.
    pub accept_partial_checksums: bool,
    /// TTL and hop limit of outgoing packets (RFC 9293 MUST-49). Hosts commonly use 64; a smaller
    /// value makes distant networks unreachable.
    pub hop_limit: u8,
    /// Duplicate address detection; `None` uses the addresses at once.
    pub dad: Option<DadConfig>,
    /// Enables SLAAC (RFC 4862) and router discovery in exclusive mode. Holds the secret of the
    /// interface identifiers (RFC 7217 §5), which must be the same at every start.
    pub autoconf: Option<[u8; 16]>,
}

/// See [`Config::hop_limit`].
pub const HOP_LIMIT: u8 = 64;

impl Config {
    /// Creates the configuration of a single shard with defaults for everything else.
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
            // RFC 6056 §3.2 recommends as many ports as possible, and considering at least
            // 1024-65535. The flow table, not the range, skips listeners of the same address.
            ports: 1024..=65535,
            accept_partial_checksums: false,
            hop_limit: HOP_LIMIT,
            dad: None,
            autoconf: None,
        }
    }
}

/// Timing of duplicate address detection for one address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probing {
    /// Maximum of the random delay before the first probe, which keeps hosts that start together
    /// from probing together.
    pub delay_max: Duration,
    /// Number of probes.
    pub probes: u8,
    /// Minimum interval between two probes.
    pub interval: Duration,
    /// Maximum of the random addition to `interval`.
    pub spread: Duration,
    /// Time from the last probe until the address is usable.
    pub wait: Duration,
}

/// Timing of duplicate address detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DadConfig {
    /// RFC 5227 §2.1.1.
    pub ipv4: Probing,
    /// RFC 4862 §5.4.
    pub ipv6: Probing,
}

impl DadConfig {
    /// Takes 250 ms: a host on the same link answers within milliseconds. Misses a host that
    /// sleeps, or one behind a bridge port that has just come up.
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

    /// Timing of the RFCs: up to seven seconds for IPv4 (RFC 5227 §1.1), up to two for IPv6
    /// (`RETRANS_TIMER` and `MAX_RTR_SOLICITATION_DELAY`, RFC 4861 §10).
    pub const THOROUGH: Self = {
        let s = Duration::from_secs(1);
        Self {
            ipv4: Probing { delay_max: s, probes: 3, interval: s, spread: s, wait: s.times(2) },
            ipv6: Probing { delay_max: s, probes: 1, interval: s, spread: Duration::ZERO, wait: s },
        }
    };

    /// Returns the longest time that detection takes for an unused address.
    pub fn longest(&self) -> Duration {
        let of = |p: &Probing| {
            p.delay_max
                + (p.interval + p.spread).times(u64::from(p.probes.saturating_sub(1)))
                + p.wait
        };
        of(&self.ipv4).max(of(&self.ipv6))
    }
}
