//! All that a shard holds, and the small things that every step needs of it. The steps themselves are in
//! the files around: `arrivals`, `passive`, `opens`, `control`, `ready`, `timers`, `owed`.
//!
//! The application is given the engine as its [`Io`](super::service::Io), so it holds neither the link nor the
//! service: both are lent for a turn.

use core::net::{IpAddr, Ipv4Addr};

use super::arrivals::drop_reason;
use super::claim::{Claims, DadConfig};
use super::config::Config;
use super::discovery::Discovery;
use super::fast_open::FastOpens;
use super::handover::Inbox;
use super::limiter::Limiter;
use super::listeners::Listeners;
use super::locals::Locals;
use super::neighbour::{NeighbourId, Pace};
use super::neighbours::Neighbours;
use super::path_mtu::PathMtus;
use super::ports::Ports;
use super::reassembly::Reassembly;
use super::routes::Routes;
use super::secrets::Secrets;
use super::steer::Steering;
use super::tables::Tables;
use super::tending::Tending;
use super::wheel::Wheel;
use crate::limits::{CONNECTIONS_MAX, Limits};
use crate::link::Frame;
use crate::metrics::{Counters, Latencies};
use crate::role::Role;
use crate::tcp::{BufferPool, CookieJar, Disposition, FlowSecrets, IsnGenerator, SeqNum, Settings};
use crate::time::Instant;
use crate::wire::MacAddr;

/// Answers to strangers a second and shard: resets, echo replies, advertisements. Fewer, and a scan keeps
/// a client from learning that a port is closed; more, and the shard is an amplifier.
const STRANGERS_A_SECOND: u32 = 10_000;

/// Lends a connection what it needs of the engine, the engine's other parts staying free.
macro_rules! lend {
    ($engine:expr) => {
        crate::tcp::Env {
            now: $engine.now,
            settings: &$engine.settings,
            pool: &mut $engine.pool,
            challenge_acks: &mut $engine.challenges.left,
        }
    };
}
pub(super) use lend;

/// The shard's state.
pub(super) struct Engine {
    pub(super) now: Instant,
    pub(super) settings: Settings,
    mtu: usize,
    /// The segment sizes that were asked for, whatever the MTU.
    mss_asked: [u16; 2],
    pub(super) mac: MacAddr,
    pub(super) role: Role,
    pub(super) accept_partial_checksums: bool,
    pub(super) hop_limit: u8,
    /// The same for IPv6, of which routers tell.
    pub(super) hop_limit_v6: u8,
    pub(super) worker: u16,
    pub(super) workers: u16,
    pub(super) steering: Steering,
    pub(super) locals: Locals,
    pub(super) claiming: Option<DadConfig>,
    pub(super) claims: Claims,
    /// What routers say, if it is listened to.
    pub(super) discovery: Option<Box<Discovery>>,
    /// Stations that contest an address of ours, for the runtime to tell of.
    pub(super) contested: Vec<(IpAddr, MacAddr)>,
    /// The program was told of the start.
    pub(super) started: bool,
    /// The service is not to start yet.
    pub(super) held_back: bool,
    pub(super) tables: Tables,
    pub(super) wheel: Wheel,
    /// On the wheel, connections have the numbers below this, embryos those from here on.
    pub(super) first_embryo: u32,
    pub(super) ports: Ports,
    pub(super) neighbours: Neighbours<Frame>,
    /// In shared mode: neighbours that the kernel is to be asked for.
    pub(super) wanted: Vec<IpAddr>,
    /// In shared mode: neighbours that the kernel has told of while frames were held for them.
    pub(super) resolved: Vec<NeighbourId>,
    pub(super) routes: Routes,
    pub(super) path_mtus: PathMtus,
    pub(super) reassembly: Reassembly,
    /// Datagrams that are whole now, for the next turn.
    pub(super) wholes: Inbox,
    /// What an ICMP error quotes, while it is written.
    pub(super) quoted: Vec<u8>,
    /// The neighbour found last: most packets go through the same gateway.
    pub(super) last_hop: (IpAddr, NeighbourId),
    pub(super) listeners: Listeners,
    pub(super) pool: BufferPool,
    pub(super) tending: Tending,
    isn: IsnGenerator,
    pub(super) secrets: Secrets,
    pub(super) cookies: CookieJar,
    pub(super) fast_opens: FastOpens,
    pub(super) counters: Counters,
    pub(super) handshakes: Latencies,
    /// Connections that may owe something, one entry each.
    pub(super) marked: Vec<u32>,
    /// Those that go on in the next turn.
    pub(super) unfinished: Vec<u32>,
    /// Connections with something to tell, one entry each.
    pub(super) ready: Vec<u32>,
    pub(super) alarm: Option<Instant>,
    pub(super) stopping: bool,
    /// Connections that the program is done with, and how many there may be.
    pub(super) orphans: usize,
    pub(super) orphans_max: usize,
    pub(super) strangers: Limiter,
    /// Challenge ACKs of connections, embryos and TIME-WAITs.
    pub(super) challenges: Limiter,
    /// Active opens so far: the source addresses take turns.
    pub(super) opens: usize,
}

impl Engine {
    pub(super) fn new(config: Config) -> Self {
        let connections = config.limits.connections.clamp(1, CONNECTIONS_MAX);
        let limits = Limits { connections, ..config.limits };
        let secrets = Secrets::new(&config.secret);
        let mss_asked = config.settings.mss;
        let settings = bounded(config.settings, config.mtu);
        let v4 = config.gateway_v4.map(IpAddr::V4);
        let v6 = config.gateway_v6.map(IpAddr::V6);
        let gateways: Vec<IpAddr> = v4.into_iter().chain(v6).collect();
        let ports = match config.steering {
            Steering::Single => Ports::share(config.ports, config.worker, config.workers),
            Steering::Hash { .. } | Steering::Rss { .. } => Ports::new(config.ports),
        };
        Self {
            now: Instant::ZERO,
            mtu: config.mtu,
            mss_asked,
            mac: config.mac,
            role: config.role,
            accept_partial_checksums: config.accept_partial_checksums,
            hop_limit: config.hop_limit,
            hop_limit_v6: config.hop_limit,
            worker: config.worker,
            workers: config.workers.max(1),
            steering: config.steering,
            locals: Locals::new(&config.addresses),
            claiming: config.claiming,
            claims: Claims::new(secrets.seed()),
            discovery: config.autoconf.map(|secret| Box::new(Discovery::new(secret, config.mac))),
            contested: Vec::new(),
            started: false,
            held_back: false,
            tables: Tables::new(&limits, secrets.hash, settings.msl.times(2)),
            wheel: Wheel::new(connections + limits.embryos, Instant::ZERO),
            first_embryo: connections as u32,
            ports,
            neighbours: Neighbours::new(
                limits.neighbours,
                Pace::default(),
                secrets.hash,
                Instant::ZERO,
            ),
            routes: Routes::of_addresses(&config.addresses, &gateways),
            path_mtus: PathMtus::new(limits.path_mtus, secrets.hash),
            reassembly: Reassembly::new(
                limits.reassembly_datagrams,
                limits.reassembly_bytes,
                secrets.hash,
            ),
            wholes: Inbox::default(),
            quoted: Vec::new(),
            last_hop: (IpAddr::V4(Ipv4Addr::UNSPECIFIED), NeighbourId::NONE),
            wanted: Vec::new(),
            resolved: Vec::new(),
            listeners: Listeners::new(),
            pool: BufferPool::new(limits.buffer_bytes),
            tending: Tending::default(),
            secrets,
            isn: IsnGenerator::new(secrets.hash),
            cookies: CookieJar::new(secrets.cookie),
            fast_opens: FastOpens::new(secrets.fast_open, limits.fast_open_peers, secrets.hash),
            counters: Counters::default(),
            handshakes: Latencies::default(),
            marked: Vec::with_capacity(connections.min(1 << 16)),
            unfinished: Vec::with_capacity(connections.min(1 << 16)),
            ready: Vec::with_capacity(connections.min(1 << 16)),
            alarm: None,
            stopping: false,
            orphans: 0,
            orphans_max: limits.orphans,
            strangers: Limiter::new(STRANGERS_A_SECOND, secrets.limits),
            challenges: Limiter::new(settings.challenge_acks_per_second, secrets.limits),
            opens: 0,
            settings,
        }
    }

    /// See [`Shard::set_settings`](super::Shard::set_settings).
    pub(super) fn set_settings(&mut self, settings: Settings) {
        self.mss_asked = settings.mss;
        self.settings = bounded(settings, self.mtu);
        self.challenges.change(self.settings.challenge_acks_per_second);
    }

    /// See [`Shard::set_mtu`](super::Shard::set_mtu).
    pub(super) fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
        let asked = Settings { mss: self.mss_asked, ..self.settings.clone() };
        self.settings = bounded(asked, mtu);
    }

    /// The largest packet of the link, bytes.
    pub(super) const fn mtu(&self) -> usize {
        self.mtu
    }

    /// A turn begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.now = now;
        self.challenges.refill(now);
    }

    /// An initial sequence number for a flow that begins now (RFC 6528 §3).
    pub(super) fn draw_iss(&self, secrets: FlowSecrets) -> SeqNum {
        self.isn.isn(secrets, self.now)
    }

    /// Counts what became of a segment.
    pub(super) fn count(&mut self, disposition: Disposition) {
        if disposition != Disposition::Accepted {
            self.counters.drop(drop_reason(disposition));
        }
    }
}

/// Segment sizes that the MTU has room for.
fn bounded(settings: Settings, mtu: usize) -> Settings {
    let room = |headers: usize| mtu.saturating_sub(headers).min(usize::from(u16::MAX)) as u16;
    let [v4, v6] = settings.mss;
    Settings { mss: [v4.min(room(40)), v6.min(room(60))], ..settings }
}
