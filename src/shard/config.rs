//! What a shard is told when it is made.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;

use crate::limits::Limits;
use crate::role::Role;
use crate::shard::flow::steer::Steering;
use crate::shard::ip::dad::DadConfig;
use crate::tcp::Settings;
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
