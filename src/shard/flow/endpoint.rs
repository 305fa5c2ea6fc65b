//! The TCP endpoint of a shard: the flow tables and everything that connections share.
//!
//! Owns the lists of connections with pending output and of those with pending events.

use crate::limits::Limits;
use crate::metrics::Latencies;
use crate::shard::config::Config;
use crate::shard::fast_open::memory::FastOpenState;
use crate::shard::flow::key::FlowKey;
use crate::shard::flow::listeners::Listeners;
use crate::shard::flow::ports::{Destination, Ports};
use crate::shard::flow::secrets::Secrets;
use crate::shard::flow::steer::Steering;
use crate::shard::flow::tables::Tables;
use crate::shard::mem::limiter::Limiter;
use crate::shard::mem::pressure::MemoryPressure;
use crate::shard::mem::wheel::Wheel;
use crate::tcp::{BufferPool, CookieJar, FlowSecrets, IsnGenerator, SeqNum, Settings};
use crate::time::Instant;

/// Borrows what a connection needs of the endpoint, so that the endpoint's other fields stay free.
macro_rules! conn_env {
    ($tcp:expr, $now:expr) => {
        crate::tcp::Env {
            now: $now,
            settings: &$tcp.settings,
            pool: &mut $tcp.pool,
            challenge_acks: &mut $tcp.challenges.left,
        }
    };
}
pub(in crate::shard) use conn_env;

/// The TCP endpoint.
pub(in crate::shard) struct Endpoint {
    pub(in crate::shard) settings: Settings,
    /// Segment sizes of the settings, before the MTU bounded them.
    mss_requested: [u16; 2],
    pub(in crate::shard) accept_partial_checksums: bool,
    pub(in crate::shard) tables: Tables,
    pub(in crate::shard) wheel: Wheel,
    /// On the wheel, connections have the numbers below this one, embryos those from it on.
    pub(in crate::shard) first_embryo: u32,
    pub(in crate::shard) ports: Ports,
    pub(in crate::shard) listeners: Listeners,
    pub(in crate::shard) pool: BufferPool,
    pub(in crate::shard) pressure: MemoryPressure,
    isn: IsnGenerator,
    pub(in crate::shard) secrets: Secrets,
    pub(in crate::shard) cookies: CookieJar,
    pub(in crate::shard) fast_open: FastOpenState,
    pub(in crate::shard) handshakes: Latencies,
    /// Connections that may have pending output, one entry each.
    pub(in crate::shard) tx_pending: Vec<u32>,
    /// Connections whose output continues in the next turn.
    pub(in crate::shard) unfinished: Vec<u32>,
    /// Connections with events for the service, one entry each.
    pub(in crate::shard) ready: Vec<u32>,
    /// Number of connections that the service has closed, and its limit.
    pub(in crate::shard) orphans: usize,
    pub(in crate::shard) orphans_max: usize,
    /// Limits the challenge ACKs of connections, embryos and TIME-WAIT entries.
    pub(in crate::shard) challenges: Limiter,
    /// Number of active opens: source addresses are used in rotation.
    pub(in crate::shard) opens: usize,
}

impl Endpoint {
    /// Reserves the memory that `limits` allow.
    pub(in crate::shard) fn new(config: &Config, limits: &Limits, secrets: &Secrets) -> Self {
        let settings = bounded(config.settings.clone(), config.mtu);
        let ports = match config.steering {
            Steering::Single => Ports::share(config.ports.clone(), config.worker, config.workers),
            Steering::Hash { .. } | Steering::Rss { .. } => Ports::new(config.ports.clone()),
        };
        let connections = limits.connections;
        Self {
            mss_requested: config.settings.mss,
            accept_partial_checksums: config.accept_partial_checksums,
            tables: Tables::new(limits, secrets.hash, settings.msl.times(2)),
            wheel: Wheel::new(connections + limits.embryos, Instant::ZERO),
            first_embryo: connections as u32,
            ports,
            listeners: Listeners::new(),
            pool: BufferPool::new(limits.buffer_bytes),
            pressure: MemoryPressure::default(),
            secrets: *secrets,
            isn: IsnGenerator::new(secrets.hash),
            cookies: CookieJar::new(secrets.cookie),
            fast_open: FastOpenState::new(secrets.fast_open, limits.fast_open_peers, secrets.hash),
            handshakes: Latencies::default(),
            tx_pending: Vec::with_capacity(connections.min(1 << 16)),
            unfinished: Vec::with_capacity(connections.min(1 << 16)),
            ready: Vec::with_capacity(connections.min(1 << 16)),
            orphans: 0,
            orphans_max: limits.orphans,
            challenges: Limiter::new(settings.challenge_acks_per_second, secrets.limits),
            opens: 0,
            settings,
        }
    }

    /// See [`Shard::set_settings`](crate::shard::Shard::set_settings).
    pub(in crate::shard) fn set_settings(&mut self, settings: Settings, mtu: usize) {
        self.mss_requested = settings.mss;
        self.settings = bounded(settings, mtu);
        self.challenges.set_rate(self.settings.challenge_acks_per_second);
    }

    /// See [`Shard::set_mtu`](crate::shard::Shard::set_mtu).
    pub(in crate::shard) fn set_mtu(&mut self, mtu: usize) {
        let requested = Settings { mss: self.mss_requested, ..self.settings.clone() };
        self.settings = bounded(requested, mtu);
    }

    /// Returns an initial sequence number for a flow that begins now (RFC 6528 §3).
    pub(in crate::shard) fn draw_iss(&self, now: Instant, secrets: FlowSecrets) -> SeqNum {
        self.isn.isn(secrets, now)
    }

    /// Collects the events of a connection and schedules its output. Call it after everything that
    /// may have changed a connection.
    #[inline]
    pub(in crate::shard) fn schedule(&mut self, index: u32) {
        if let Some(flow) = self.tables.flows.at_mut(index) {
            flow.schedule(index, &mut self.ready, &mut self.tx_pending);
        }
    }

    /// Frees the port of a flow, if active opens use that port.
    pub(in crate::shard) fn release_port(&mut self, key: &FlowKey) {
        let port = key.remote.local_port();
        if self.ports.contains(port) {
            let hasher = &self.tables.hasher;
            let destination = Destination::new(hasher, key.remote.socket(), key.local);
            self.ports.on_released(destination, port);
        }
    }
}

/// Bounds the segment sizes by the MTU.
fn bounded(settings: Settings, mtu: usize) -> Settings {
    let room = |headers: usize| mtu.saturating_sub(headers).min(usize::from(u16::MAX)) as u16;
    let [v4, v6] = settings.mss;
    Settings { mss: [v4.min(room(40)), v6.min(room(60))], ..settings }
}
