//! The shard and its control surface: what the runtime asks of it and changes in it between turns.

use core::net::IpAddr;

use crate::limits::BATCH_MAX;
use crate::metrics::{Counters, Event, Latencies};
use crate::role::Role;
use crate::shard::app::census::Cursor;
use crate::shard::app::service::{ConnInfo, Memory};
use crate::shard::config::Config;
use crate::shard::engine::Engine;
use crate::shard::fast_open::config::FastOpenListener;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::flow::entry::Flow;
use crate::shard::flow::id::{ConnId, ListenerId};
use crate::shard::flow::listeners::{ListenError, ListenerConfig};
use crate::shard::flow::steer::Steering;
use crate::shard::ip::locals::AddressState;
use crate::shard::ip::neighbour::Learned;
use crate::shard::ip::routes::{Prefix, Route};
use crate::shard::rx::batch::Batch;
use crate::tcp;
use crate::time::Instant;
use crate::wire::MacAddr;

/// One core's stack.
pub struct Shard {
    pub(in crate::shard) engine: Engine,
    pub(in crate::shard) batch: Batch,
    pub(in crate::shard) batch_max: usize,
}

impl Shard {
    /// A shard that holds what its limits allow, and no connection yet.
    pub fn new(config: Config) -> Self {
        let batch_max = config.limits.batch.clamp(1, BATCH_MAX);
        Self { engine: Engine::new(config), batch: Batch::with_capacity(batch_max), batch_max }
    }

    /// Keeps the service from starting until [`release_service`](Self::release_service): its answers may come in at
    /// a worker whose addresses are not settled yet, which would refuse them.
    pub fn hold_service(&mut self) {
        self.engine.service.held_back = true;
    }

    /// The service may start, with the next turn.
    pub fn release_service(&mut self) {
        self.engine.service.held_back = false;
    }

    /// Whether the service has started.
    pub const fn has_begun(&self) -> bool {
        self.engine.service.started
    }

    /// Takes a frame that another worker has handed here; the next turn feeds it with its own.
    pub fn inject_handover(&mut self, frame: &[u8], hops: u8) {
        self.engine.turn.counters.count(Event::TakenOver);
        self.batch.inbox.push(frame, hops);
    }

    /// When the shard wants its next turn although nothing arrives.
    pub fn deadline(&self) -> Option<Instant> {
        if self.batch.inbox.len() > 0 || self.engine.may_start() {
            return Some(self.engine.turn.now);
        }
        self.engine.deadline()
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// When the address is not the shard's, or the port is taken.
    pub fn listen(&mut self, config: ListenerConfig) -> Result<ListenerId, ListenError> {
        let engine = &mut self.engine;
        let local = match config.address {
            Some(address) => {
                Some(engine.ip.locals.number_of(address).ok_or(ListenError::NotLocal)?)
            }
            None => None,
        };
        let listener = engine.tcp.listeners.open(config, local)?;
        engine.tcp.tables.embryos.expect_listener(listener.0);
        Ok(listener)
    }

    /// Whether and how a listener takes data from SYNs (RFC 7413), from now on.
    pub fn set_fast_open(&mut self, listener: ListenerId, fast_open: Option<FastOpenListener>) {
        if let Some(config) = self.engine.tcp.listeners.config_mut(listener) {
            config.fast_open = fast_open;
        }
    }

    /// The operator's keys for the cookies of Fast Open, in place of those drawn from the secret.
    pub fn set_fast_open_keys(&mut self, keys: tcp::CookieKeys) {
        self.engine.tcp.fast_opens.keys = keys;
    }

    /// Stops listening; connections that were accepted live on, handshakes under way find nobody.
    pub fn unlisten(&mut self, listener: ListenerId) {
        self.engine.tcp.listeners.close(listener);
    }

    /// Closes every connection after what was written, and stops listening.
    pub fn close_all(&mut self, now: Instant) {
        self.end_all(now, |flow, env| flow.connection.close_both(env));
    }

    /// Resets every connection, and stops listening.
    pub fn abort_all(&mut self, now: Instant) {
        self.end_all(now, |flow, env| flow.connection.abort(env));
    }

    fn end_all(&mut self, now: Instant, end: impl Fn(&mut Flow, &mut tcp::Env<'_>)) {
        let engine = &mut self.engine;
        engine.begin(now);
        let open: Vec<ListenerId> = engine.tcp.listeners.ids().collect();
        for listener in open {
            engine.tcp.listeners.close(listener);
        }
        for index in 0..engine.tcp.tables.embryos.high_water() {
            engine.tcp.tables.remove_embryo(index);
        }
        for index in 0..engine.tcp.tables.flows.high_water() {
            if let Some(flow) = engine.tcp.tables.flows.at_mut(index) {
                end(flow, &mut conn_env!(engine.tcp, engine.turn.now));
                engine.tcp.schedule(index);
            }
        }
        let orphans =
            engine.tcp.tables.flows.iter().filter(|(_, flow)| flow.connection.is_orphan());
        engine.tcp.orphans = orphans.count();
    }

    /// The shard's addresses and how each stands.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, AddressState)> + '_ {
        self.engine.ip.locals.all().map(|local| (local.address, local.state))
    }

    /// Whether an address still waits to be known as ours.
    pub fn is_claiming(&self) -> bool {
        self.engine.ip.is_detecting(self.engine.turn.now)
    }

    /// An address that the shard has made itself and is about to claim, one a call: frames for it are to come here.
    pub fn take_adopted(&mut self) -> Option<IpAddr> {
        self.engine.ip.discovery.as_mut()?.take_adopted()
    }

    /// A station that claims an address of ours, which was defended, one a call.
    pub fn take_contested(&mut self) -> Option<(IpAddr, MacAddr)> {
        self.engine.ip.contested.pop()
    }

    /// Connections of every kind but TIME-WAIT.
    pub fn connections(&self) -> usize {
        self.engine.tcp.tables.flows.len() + self.engine.tcp.tables.embryos.len()
    }

    /// Connections in TIME-WAIT.
    pub const fn time_waits(&self) -> usize {
        self.engine.tcp.tables.time_waits.len()
    }

    /// How each connection is doing.
    pub fn list(&self) -> impl Iterator<Item = ConnInfo> + '_ {
        self.engine.tcp.tables.flows.iter().map(|(_, flow)| self.engine.describe(flow))
    }

    /// How flows of every kind are doing, those in SYN-RECEIVED and TIME-WAIT included, from `from` on: as many
    /// as `rows` has room for without growing. Gives where to go on; `None` when that was all.
    pub fn census(&self, from: Cursor, rows: &mut Vec<ConnInfo>) -> Option<Cursor> {
        self.engine.census(from, rows)
    }

    /// How long handshakes took, as far as one was timed: from our SYN or SYN-ACK to its answer.
    pub const fn handshakes(&self) -> &Latencies {
        &self.engine.tcp.handshakes
    }

    /// How a connection is doing, in the protocol's own words; `None` for a stale handle.
    pub fn inspect(&self, conn: ConnId) -> Option<tcp::Info> {
        self.engine.inspect(conn)
    }

    /// Changes how TCP behaves, for what begins from now on and for what is looked up anew: sizes of
    /// buffers, timeouts, limits. What a connection has agreed with its peer stays.
    pub fn set_settings(&mut self, settings: tcp::Settings) {
        let engine = &mut self.engine;
        engine.tcp.set_settings(settings, engine.ip.mtu);
    }

    /// Timers of connections and embryos that are armed; looks at all of them.
    pub fn timers(&self) -> usize {
        self.engine.tcp.wheel.armed()
    }

    /// The NIC divides flows in another way from now on. Only where it did foreseeably, and does: otherwise the
    /// workers' shares of the ports would change under their connections, and frames find their way round anyhow.
    pub fn set_steering(&mut self, steering: &Steering) {
        let mine = &mut self.engine.workers.steering;
        if matches!((&*mine, steering), (Steering::Rss { .. }, Steering::Rss { .. })) {
            mine.clone_from(steering);
        }
    }

    /// The link takes packets of `mtu` bytes from now on. Connections that are open send no larger ones any more;
    /// that it takes larger ones only new connections make use of.
    pub fn set_mtu(&mut self, now: Instant, mtu: usize) {
        let engine = &mut self.engine;
        engine.begin(now);
        engine.ip.mtu = mtu;
        engine.tcp.set_mtu(mtu);
        let told = u16::try_from(mtu).unwrap_or(u16::MAX);
        for index in 0..engine.tcp.tables.flows.high_water() {
            if let Some(flow) = engine.tcp.tables.flows.at_mut(index) {
                flow.connection.on_path_mtu(told);
                engine.tcp.schedule(index);
            }
        }
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> &Counters {
        &self.engine.turn.counters
    }

    /// Counts `n` events of what is around the shard.
    pub const fn count(&mut self, event: Event, n: u64) {
        self.engine.turn.counters.add(event, n);
    }

    /// Bytes of send and receive buffers in use.
    pub fn buffer_bytes(&self) -> usize {
        self.engine.tcp.pool.in_use()
    }

    /// How the memory of the buffers is shared out.
    pub fn memory(&self) -> Memory {
        let (pool, accounts) = (&self.engine.tcp.pool, self.engine.tcp.pool.accounts());
        Memory {
            limit: pool.limit(),
            promised: accounts.promised(),
            lent: accounts.lent(),
            in_use: pool.in_use(),
            held: pool.held(),
        }
    }

    /// Changes how much memory buffers may have. Past a lower limit, what is in use stays so until it is given
    /// back; windows give way.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.engine.tcp.pool.set_limit(bytes);
    }

    /// In shared mode, what the kernel knows of a neighbour now; `None`, nothing any more. What waited for
    /// it goes out with the next turn.
    pub fn mirror_neighbour(&mut self, now: Instant, address: IpAddr, mac: Option<[u8; 6]>) {
        let engine = &mut self.engine;
        match mac {
            Some(mac) => {
                let learned = engine.ip.neighbours.set_permanent(now, address, MacAddr(mac));
                if let Learned::Resolved(neighbour) = learned {
                    engine.ip.resolved.push(neighbour);
                }
            }
            None => engine.ip.neighbours.forget(address),
        }
    }

    /// In shared mode, a route that the kernel has.
    pub fn add_route(&mut self, route: Route) {
        if self.engine.ip.role == Role::Shared {
            self.engine.ip.routes.add(route);
        }
    }

    /// In shared mode, a route that the kernel has no longer.
    pub fn remove_route(&mut self, prefix: Prefix, gateway: Option<IpAddr>, metric: u32) {
        if self.engine.ip.role == Role::Shared {
            self.engine.ip.routes.remove(prefix, gateway, metric);
        }
    }

    /// In shared mode, a neighbour that the kernel should be asked for, one a call.
    pub fn unresolved_neighbour(&mut self) -> Option<IpAddr> {
        self.engine.ip.unresolved.pop()
    }
}
