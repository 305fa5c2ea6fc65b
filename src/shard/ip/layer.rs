//! The state of the IP layer of a shard: addresses, neighbours, routes, path MTUs and reassembly.

use core::net::{IpAddr, Ipv4Addr};

use crate::limits::Limits;
use crate::link::Frame;
use crate::role::Role;
use crate::shard::config::{Config, DadConfig};
use crate::shard::flow::id::NeighbourId;
use crate::shard::flow::secrets::{FlowLabels, Secrets};
use crate::shard::ip::dad::DadTable;
use crate::shard::ip::discovery::Discovery;
use crate::shard::ip::locals::Locals;
use crate::shard::ip::neighbour::NeighbourTimers;
use crate::shard::ip::neighbours::Neighbours;
use crate::shard::ip::path_mtu::PathMtus;
use crate::shard::ip::reassembly::Reassembly;
use crate::shard::ip::routes::Routes;
use crate::shard::mem::inbox::Inbox;
use crate::shard::mem::limiter::Limiter;
use crate::time::Instant;
use crate::wire::MacAddr;

/// Limit of the replies to packets with no matching flow (resets, echo replies, errors), per second
/// and shard. With a lower limit, a port scan keeps clients from learning that a port is closed;
/// with a higher one, the shard is an amplifier.
const UNMATCHED_REPLIES_PER_SECOND: u32 = 10_000;

/// The IP layer.
pub(in crate::shard) struct Ip {
    /// The largest packet of the link, bytes.
    pub(in crate::shard) mtu: usize,
    pub(in crate::shard) mac: MacAddr,
    pub(in crate::shard) role: Role,
    /// True on the worker that sends probes, announcements and router solicitations for all
    /// workers.
    pub(in crate::shard) announces: bool,
    pub(in crate::shard) hop_limit: u8,
    /// The hop limit of IPv6, as advertised by routers.
    pub(in crate::shard) hop_limit_v6: u8,
    pub(in crate::shard) labels: FlowLabels,
    pub(in crate::shard) locals: Locals,
    pub(in crate::shard) dad_config: Option<DadConfig>,
    pub(in crate::shard) dad: DadTable,
    /// Router discovery, if it is enabled.
    pub(in crate::shard) discovery: Option<Box<Discovery>>,
    /// Hosts that contest a local address, for the runtime to report.
    pub(in crate::shard) contested: Vec<(IpAddr, MacAddr)>,
    pub(in crate::shard) neighbours: Neighbours<Frame>,
    /// The failed neighbour whose held frames are being discarded.
    pub(in crate::shard) failing: Option<(NeighbourId, IpAddr)>,
    /// Shared mode: neighbours for the kernel to resolve.
    pub(in crate::shard) unresolved: Vec<IpAddr>,
    /// Shared mode: neighbours that the kernel has resolved while frames were held for them.
    pub(in crate::shard) resolved: Vec<NeighbourId>,
    pub(in crate::shard) routes: Routes,
    pub(in crate::shard) path_mtus: PathMtus,
    pub(in crate::shard) reassembly: Reassembly,
    /// Reassembled datagrams, input of the next turn.
    pub(in crate::shard) reassembled: Inbox,
    /// Scratch buffer for the packet that an ICMP error quotes.
    pub(in crate::shard) quoted: Vec<u8>,
    /// Cache of the last next hop: most packets go through the same gateway.
    pub(in crate::shard) last_hop: (IpAddr, NeighbourId),
    /// Limits the replies to packets with no matching flow.
    pub(in crate::shard) unmatched: Limiter,
}

impl Ip {
    /// Reserves the memory that `limits` allow.
    pub(in crate::shard) fn new(config: &Config, limits: &Limits, secrets: &Secrets) -> Self {
        let v4 = config.gateway_v4.map(IpAddr::V4);
        let v6 = config.gateway_v6.map(IpAddr::V6);
        let gateways: Vec<IpAddr> = v4.into_iter().chain(v6).collect();
        let (hash, zero) = (secrets.hash, Instant::ZERO);
        Self {
            mtu: config.mtu,
            mac: config.mac,
            role: config.role,
            announces: config.worker == 0,
            hop_limit: config.hop_limit,
            hop_limit_v6: config.hop_limit,
            labels: secrets.labels,
            locals: Locals::new(&config.addresses),
            dad_config: config.dad,
            dad: DadTable::new(secrets.seed()),
            discovery: config.autoconf.map(|secret| Box::new(Discovery::new(secret, config.mac))),
            contested: Vec::new(),
            neighbours: Neighbours::new(limits.neighbours, NeighbourTimers::default(), hash, zero),
            failing: None,
            unresolved: Vec::new(),
            resolved: Vec::new(),
            routes: Routes::of_addresses(&config.addresses, &gateways),
            path_mtus: PathMtus::new(limits.path_mtus, hash),
            reassembly: Reassembly::new(limits.reassembly_datagrams, limits.reassembly_bytes, hash),
            reassembled: Inbox::default(),
            quoted: Vec::new(),
            last_hop: (IpAddr::V4(Ipv4Addr::UNSPECIFIED), NeighbourId::NONE),
            unmatched: Limiter::new(UNMATCHED_REPLIES_PER_SECOND, secrets.limits),
        }
    }

    /// Returns true while an address is in duplicate address detection, or router discovery waits
    /// for the first advertisement.
    pub(in crate::shard) fn is_detecting(&self, now: Instant) -> bool {
        self.discovery.as_deref().is_some_and(|discovery| discovery.is_awaiting(now))
            || !self.dad.is_settled()
    }

    /// Returns the time of the layer's next timer.
    #[inline]
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        let due = [
            self.neighbours.next_deadline(),
            self.reassembly.next_deadline(),
            self.dad.next_deadline(),
            self.discovery.as_deref().and_then(Discovery::next_deadline),
        ];
        due.into_iter().flatten().min()
    }
}
