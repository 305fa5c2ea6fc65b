//! All that a shard holds, and the small things that every step needs of it. The steps themselves are in
//! the files around: `arrivals`, `passive`, `opens`, `control`, `ready`, `timers`, `owed`.
//!
//! The application is given the engine as its [`Io`](crate::shard::app::service::Io), so it holds neither the link nor the
//! service: both are lent for a turn.

use core::net::{IpAddr, Ipv4Addr};

use crate::limits::{CONNECTIONS_MAX, Limits};
use crate::link::Frame;
use crate::metrics::{Counters, Latencies};
use crate::role::Role;
use crate::shard::config::Config;
use crate::shard::fast_open::memory::FastOpens;
use crate::shard::flow::listeners::Listeners;
use crate::shard::flow::ports::Ports;
use crate::shard::flow::pressure::Tending;
use crate::shard::flow::secrets::Secrets;
use crate::shard::flow::steer::Steering;
use crate::shard::flow::tables::Tables;
use crate::shard::ip::dad::{Claims, DadConfig};
use crate::shard::ip::discovery::Discovery;
use crate::shard::ip::locals::Locals;
use crate::shard::ip::neighbour::{NeighbourId, Pace};
use crate::shard::ip::neighbours::Neighbours;
use crate::shard::ip::path_mtu::PathMtus;
use crate::shard::ip::reassembly::Reassembly;
use crate::shard::ip::routes::Routes;
use crate::shard::mem::limiter::Limiter;
use crate::shard::mem::wheel::Wheel;
use crate::shard::rx::demux::drop_reason;
use crate::shard::rx::handover::Inbox;
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
pub(in crate::shard) use lend;

/// The shard's state.
pub(in crate::shard) struct Engine {
    pub(in crate::shard) now: Instant,
    pub(in crate::shard) settings: Settings,
    mtu: usize,
    /// The segment sizes that were asked for, whatever the MTU.
    mss_asked: [u16; 2],
    pub(in crate::shard) mac: MacAddr,
    pub(in crate::shard) role: Role,
    pub(in crate::shard) accept_partial_checksums: bool,
    pub(in crate::shard) hop_limit: u8,
    /// The same for IPv6, of which routers tell.
    pub(in crate::shard) hop_limit_v6: u8,
    pub(in crate::shard) worker: u16,
    pub(in crate::shard) workers: u16,
    pub(in crate::shard) steering: Steering,
    pub(in crate::shard) locals: Locals,
    pub(in crate::shard) claiming: Option<DadConfig>,
    pub(in crate::shard) claims: Claims,
    /// What routers say, if it is listened to.
    pub(in crate::shard) discovery: Option<Box<Discovery>>,
    /// Stations that contest an address of ours, for the runtime to tell of.
    pub(in crate::shard) contested: Vec<(IpAddr, MacAddr)>,
    /// The program was told of the start.
    pub(in crate::shard) started: bool,
    /// The service is not to start yet.
    pub(in crate::shard) held_back: bool,
    pub(in crate::shard) tables: Tables,
    pub(in crate::shard) wheel: Wheel,
    /// On the wheel, connections have the numbers below this, embryos those from here on.
    pub(in crate::shard) first_embryo: u32,
    pub(in crate::shard) ports: Ports,
    pub(in crate::shard) neighbours: Neighbours<Frame>,
    /// In shared mode: neighbours that the kernel is to be asked for.
    pub(in crate::shard) wanted: Vec<IpAddr>,
    /// In shared mode: neighbours that the kernel has told of while frames were held for them.
    pub(in crate::shard) resolved: Vec<NeighbourId>,
    pub(in crate::shard) routes: Routes,
    pub(in crate::shard) path_mtus: PathMtus,
    pub(in crate::shard) reassembly: Reassembly,
    /// Datagrams that are whole now, for the next turn.
    pub(in crate::shard) wholes: Inbox,
    /// What an ICMP error quotes, while it is written.
    pub(in crate::shard) quoted: Vec<u8>,
    /// The neighbour found last: most packets go through the same gateway.
    pub(in crate::shard) last_hop: (IpAddr, NeighbourId),
    pub(in crate::shard) listeners: Listeners,
    pub(in crate::shard) pool: BufferPool,
    pub(in crate::shard) tending: Tending,
    isn: IsnGenerator,
    pub(in crate::shard) secrets: Secrets,
    pub(in crate::shard) cookies: CookieJar,
    pub(in crate::shard) fast_opens: FastOpens,
    pub(in crate::shard) counters: Counters,
    pub(in crate::shard) handshakes: Latencies,
    /// Connections that may owe something, one entry each.
    pub(in crate::shard) marked: Vec<u32>,
    /// Those that go on in the next turn.
    pub(in crate::shard) unfinished: Vec<u32>,
    /// Connections with something to tell, one entry each.
    pub(in crate::shard) ready: Vec<u32>,
    pub(in crate::shard) alarm: Option<Instant>,
    pub(in crate::shard) stopping: bool,
    /// Connections that the program is done with, and how many there may be.
    pub(in crate::shard) orphans: usize,
    pub(in crate::shard) orphans_max: usize,
    pub(in crate::shard) strangers: Limiter,
    /// Challenge ACKs of connections, embryos and TIME-WAITs.
    pub(in crate::shard) challenges: Limiter,
    /// Active opens so far: the source addresses take turns.
    pub(in crate::shard) opens: usize,
}

impl Engine {
    pub(in crate::shard) fn new(config: Config) -> Self {
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

    /// See [`Shard::set_settings`](crate::shard::Shard::set_settings).
    pub(in crate::shard) fn set_settings(&mut self, settings: Settings) {
        self.mss_asked = settings.mss;
        self.settings = bounded(settings, self.mtu);
        self.challenges.change(self.settings.challenge_acks_per_second);
    }

    /// See [`Shard::set_mtu`](crate::shard::Shard::set_mtu).
    pub(in crate::shard) fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
        let asked = Settings { mss: self.mss_asked, ..self.settings.clone() };
        self.settings = bounded(asked, mtu);
    }

    /// The largest packet of the link, bytes.
    pub(in crate::shard) const fn mtu(&self) -> usize {
        self.mtu
    }

    /// A turn begins.
    pub(in crate::shard) fn begin(&mut self, now: Instant) {
        self.now = now;
        self.challenges.refill(now);
    }

    /// An initial sequence number for a flow that begins now (RFC 6528 §3).
    pub(in crate::shard) fn draw_iss(&self, secrets: FlowSecrets) -> SeqNum {
        self.isn.isn(secrets, self.now)
    }

    /// Counts what became of a segment.
    pub(in crate::shard) fn count(&mut self, disposition: Disposition) {
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
