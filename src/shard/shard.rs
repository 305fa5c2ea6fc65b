//! The shard and its control surface: what the runtime queries and changes between turns.

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
use crate::shard::flow::service_waker::ServiceWaker;
use crate::shard::flow::steer::Steering;
use crate::shard::ip::locals::AddressState;
use crate::shard::ip::neighbour::Learned;
use crate::shard::ip::routes::{Prefix, Route};
use crate::shard::rx::batch::Batch;
use crate::tcp;
use crate::time::Instant;
use crate::wire::MacAddr;

/// The TCP/IP stack of one core.
pub struct Shard {
    pub(in crate::shard) engine: Engine,
    pub(in crate::shard) batch: Batch,
    pub(in crate::shard) batch_max: usize,
}

impl Shard {
    /// Creates a shard with all memory that its limits allow and no connections.
    pub fn new(config: Config) -> Self {
        let batch_max = config.limits.batch.clamp(1, BATCH_MAX);
        Self { engine: Engine::new(config), batch: Batch::with_capacity(batch_max), batch_max }
    }

    /// Keeps the service from starting until [`release_service`](Self::release_service). Replies to
    /// this service may arrive at another worker; a worker whose addresses are still tentative
    /// would refuse them.
    pub fn hold_service(&mut self) {
        self.engine.service.held_back = true;
    }

    /// Lets the service start with the next turn.
    pub fn release_service(&mut self) {
        self.engine.service.held_back = false;
    }

    /// Returns true once the service has started.
    pub const fn has_started(&self) -> bool {
        self.engine.service.started
    }

    /// Replaces the service's waker. Call it before [`start`](Self::start).
    pub fn set_waker(&mut self, waker: ServiceWaker) {
        self.engine.service.waker = waker;
    }

    /// Returns what other threads wake the service with.
    pub const fn waker(&self) -> &ServiceWaker {
        &self.engine.service.waker
    }

    /// Returns true if another thread has woken the service, which the next turn calls. A service
    /// that has not started yet is called once it has.
    pub fn is_woken(&self) -> bool {
        self.engine.service.is_woken()
    }

    /// Returns the oldest change of the ports that the service listens on, until
    /// [`take_port_change`](Self::take_port_change): a port, and true if a listener was opened. The
    /// caller steers the frames of the port.
    pub fn port_change(&self) -> Option<(u16, bool)> {
        self.engine.service.ports.front().copied()
    }

    /// Forgets the oldest change of the ports.
    pub fn take_port_change(&mut self) {
        self.engine.service.ports.pop_front();
    }

    /// Returns the message of a panic that the service has survived, one per call.
    pub fn take_panic(&mut self) -> Option<String> {
        self.engine.service.take_panic()
    }

    /// Accepts a frame that another worker handed over. The next turn processes it with its own
    /// frames.
    pub fn inject_handover(&mut self, frame: &[u8], hops: u8) {
        self.engine.turn.counters.count(Event::TakenOver);
        self.batch.inbox.push(frame, hops);
    }

    /// Returns the time by which the shard needs its next turn even if nothing arrives.
    pub fn deadline(&self) -> Option<Instant> {
        if self.batch.inbox.len() > 0 || self.is_woken() || self.engine.may_start() {
            return Some(self.engine.turn.now);
        }
        self.engine.deadline()
    }

    /// Opens a listener.
    ///
    /// # Errors
    /// Fails if the address is not one of the shard's, or if another listener uses the port.
    pub fn listen(&mut self, config: ListenerConfig) -> Result<ListenerId, ListenError> {
        self.engine.open_listener(config)
    }

    /// Sets whether and how a listener accepts data in SYNs (RFC 7413), from the next SYN on.
    pub fn set_fast_open(&mut self, listener: ListenerId, fast_open: Option<FastOpenListener>) {
        if let Some(config) = self.engine.tcp.listeners.config_mut(listener) {
            config.fast_open = fast_open;
        }
    }

    /// Replaces the keys of Fast Open cookies, which are drawn from the secret by default.
    pub fn set_fast_open_keys(&mut self, keys: tcp::CookieKeys) {
        self.engine.tcp.fast_open.keys = keys;
    }

    /// Closes a listener. Accepted connections live on; handshakes in progress are dropped when
    /// their ACK arrives.
    pub fn unlisten(&mut self, listener: ListenerId) {
        self.engine.tcp.listeners.close(listener);
    }

    /// Closes every connection once its written data is sent, and closes all listeners.
    pub fn close_all(&mut self, now: Instant) {
        self.end_all(now, |flow, env| flow.connection.close_both(env));
    }

    /// Resets every connection, and closes all listeners.
    pub fn abort_all(&mut self, now: Instant) {
        self.end_all(now, |flow, env| flow.connection.abort(env));
    }

    pub(in crate::shard) fn close_listeners(&mut self) {
        let listeners = &mut self.engine.tcp.listeners;
        let open: Vec<ListenerId> = listeners.ids().collect();
        open.into_iter().for_each(|listener| listeners.close(listener));
    }

    fn end_all(&mut self, now: Instant, end: impl Fn(&mut Flow, &mut tcp::Env<'_>)) {
        self.close_listeners();
        let engine = &mut self.engine;
        engine.begin(now);
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

    /// Returns the shard's addresses and the state of each.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, AddressState)> + '_ {
        self.engine.ip.locals.all().map(|local| (local.address, local.state))
    }

    /// Returns true while duplicate address detection runs for an address.
    pub fn is_detecting(&self) -> bool {
        self.engine.ip.is_detecting(self.engine.turn.now)
    }

    /// Returns an address that the shard has formed itself and is about to probe, one per call. The
    /// caller must steer the frames for this address to the stack.
    pub fn take_formed_address(&mut self) -> Option<IpAddr> {
        self.engine.ip.discovery.as_mut()?.take_formed_address()
    }

    /// Returns a local address that another host claims, and that host's MAC address, one per call.
    /// The shard has already defended the address.
    pub fn take_address_conflict(&mut self) -> Option<(IpAddr, MacAddr)> {
        self.engine.ip.contested.pop()
    }

    /// Returns the number of connections and embryos, without TIME-WAIT.
    pub fn connections(&self) -> usize {
        self.engine.tcp.tables.flows.len() + self.engine.tcp.tables.embryos.len()
    }

    /// Returns the number of connections in TIME-WAIT.
    pub const fn time_waits(&self) -> usize {
        self.engine.tcp.tables.time_waits.len()
    }

    /// Describes each connection.
    pub fn list(&self) -> impl Iterator<Item = ConnInfo> + '_ {
        self.engine.tcp.tables.flows.iter().map(|(_, flow)| self.engine.describe(flow))
    }

    /// Describes flows of every kind, including SYN-RECEIVED and TIME-WAIT, starting at `from`.
    /// Appends as many rows as `rows` holds without growing. Returns where to continue, or `None`
    /// at the end.
    pub fn census(&self, from: Cursor, rows: &mut Vec<ConnInfo>) -> Option<Cursor> {
        self.engine.census(from, rows)
    }

    /// Returns the latencies of the timed handshakes, from the local SYN or SYN-ACK to its answer.
    pub const fn handshakes(&self) -> &Latencies {
        &self.engine.tcp.handshakes
    }

    /// Returns the TCP state of a connection, or `None` for a stale handle.
    pub fn tcp_info(&self, conn: ConnId) -> Option<tcp::Info> {
        self.engine.tcp_info(conn)
    }

    /// Changes the TCP settings: buffer sizes, timeouts, limits. New connections use all of them;
    /// open connections use those that are read at each use, and keep what they negotiated with
    /// their peer.
    pub fn set_settings(&mut self, settings: tcp::Settings) {
        let engine = &mut self.engine;
        engine.tcp.set_settings(settings, engine.ip.mtu);
    }

    /// Returns the number of armed timers of connections and embryos. Scans all of them.
    pub fn timers(&self) -> usize {
        self.engine.tcp.wheel.armed()
    }

    /// Updates the RSS configuration of the NIC. Has an effect only if both the old and the new
    /// steering are RSS. Otherwise the workers' shares of the port range would change under open
    /// connections; misdirected frames reach their flow by handover instead.
    pub fn set_steering(&mut self, steering: &Steering) {
        let mine = &mut self.engine.workers.steering;
        if matches!((&*mine, steering), (Steering::Rss { .. }, Steering::Rss { .. })) {
            mine.clone_from(steering);
        }
    }

    /// Sets the MTU of the link. Open connections shrink their segments to a smaller MTU; only new
    /// connections use a larger one.
    pub fn set_mtu(&mut self, now: Instant, mtu: usize) {
        let engine = &mut self.engine;
        engine.begin(now);
        engine.ip.mtu = mtu;
        engine.tcp.set_mtu(mtu);
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        for index in 0..engine.tcp.tables.flows.high_water() {
            if let Some(flow) = engine.tcp.tables.flows.at_mut(index) {
                flow.connection.on_path_mtu(mtu);
                engine.tcp.schedule(index);
            }
        }
    }

    /// Returns the counters, which start at zero when the shard is created.
    pub const fn counters(&self) -> &Counters {
        &self.engine.turn.counters
    }

    /// Adds `n` to the counter of an event outside the shard.
    pub const fn count(&mut self, event: Event, n: u64) {
        self.engine.turn.counters.add(event, n);
    }

    /// Returns the bytes of send and receive buffers in use.
    pub fn buffer_bytes(&self) -> usize {
        self.engine.tcp.pool.in_use()
    }

    /// Returns the accounts of the buffer memory.
    pub fn memory(&self) -> Memory {
        let (pool, accounts) = (&self.engine.tcp.pool, self.engine.tcp.pool.accounts());
        Memory {
            limit: pool.limit(),
            promised: accounts.promised(),
            send_buffers: accounts.allocated(),
            in_use: pool.in_use(),
            held: pool.held(),
        }
    }

    /// Changes the limit of the buffer memory. A limit below the memory in use frees nothing at
    /// once: receive windows shrink until the use fits.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.engine.tcp.pool.set_limit(bytes);
    }

    /// Applies a neighbour entry of the kernel in shared mode; `None` removes the entry. Packets
    /// that wait for the neighbour leave with the next turn.
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

    /// Adds a route of the kernel in shared mode.
    pub fn add_route(&mut self, route: Route) {
        if self.engine.ip.role == Role::Shared {
            self.engine.ip.routes.add(route);
        }
    }

    /// Removes a route that the kernel has removed, in shared mode.
    pub fn remove_route(&mut self, prefix: Prefix, gateway: Option<IpAddr>, metric: u32) {
        if self.engine.ip.role == Role::Shared {
            self.engine.ip.routes.remove(prefix, gateway, metric);
        }
    }

    /// Returns a neighbour that the kernel should resolve in shared mode, one per call.
    pub fn unresolved_neighbour(&mut self) -> Option<IpAddr> {
        self.engine.ip.unresolved.pop()
    }
}
