//! One turn of a worker, and the shard's surface to the runtime.
//!
//! Owns the order of the steps: receive, parse all, look all up, feed (the segments of each flow in order), run the
//! application, advance the timers, send what is owed, flush. Each step goes over the whole batch before the next
//! begins, so that the memory which one step asks for has arrived when the next one needs it.

use core::net::IpAddr;

use super::arrivals::Exits;
use super::census::Cursor;
use super::config::Config;
use super::control::Notice;
use super::egress::Outlet;
use super::engine::{Engine, lend};
use super::fast_open::FastOpenListener;
use super::handover::Handover;
use super::ingress::{Batch, Eyes};
use super::listeners::{ListenError, ListenerConfig};
use super::locals::AddressState;
use super::neighbour::Learned;
use super::routes::{Prefix, Route};
use super::service::{ConnId, ConnInfo, Io, ListenerId, Memory, Service};
use super::steer::Steering;
use crate::limits::BATCH_MAX;
use crate::link::Link;
use crate::metrics::{Counters, Event, Latencies};
use crate::role::Role;
use crate::tcp;
use crate::time::Instant;
use crate::wire::MacAddr;

/// What a turn works with: all of it belongs to the worker's thread.
pub struct TurnEnv<'a> {
    /// Where frames come from and go.
    pub link: &'a mut dyn Link,
    /// The application.
    pub service: &'a mut dyn Service,
    /// The way to the other workers.
    pub handover: &'a mut dyn Handover,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Frames received, those of other workers included.
    pub received: usize,
    /// Frames sent.
    pub sent: usize,
    /// The application has asked to stop.
    pub stop: bool,
}

/// One core's stack.
pub struct Shard {
    engine: Engine,
    batch: Batch,
    batch_max: usize,
}

impl Shard {
    /// A shard that holds what its limits allow, and no connection yet.
    pub fn new(config: Config) -> Self {
        let batch_max = config.limits.batch.clamp(1, BATCH_MAX);
        Self { engine: Engine::new(config), batch: Batch::with_capacity(batch_max), batch_max }
    }

    /// The worker starts: its addresses are claimed, or announced if they need not be. Its service is told
    /// when they are ours.
    pub fn start(&mut self, now: Instant, around: &mut TurnEnv<'_>) {
        let engine = &mut self.engine;
        engine.begin(now);
        let mut outlet = Outlet::new(around.link, now);
        engine.begin_claims(&mut outlet);
        engine.start_service(around.service);
        engine.send_owed(around.service, &mut outlet);
        engine.tend_neighbours(&mut outlet);
        outlet.close();
        around.link.flush(now);
    }

    /// Keeps the service from starting until [`release_service`](Self::release_service): its answers may come in at
    /// a worker whose addresses are not settled yet, which would refuse them.
    pub fn hold_service(&mut self) {
        self.engine.held_back = true;
    }

    /// The service may start, with the next turn.
    pub fn release_service(&mut self) {
        self.engine.held_back = false;
    }

    /// Whether the service has started.
    pub const fn has_begun(&self) -> bool {
        self.engine.started
    }

    /// One turn.
    pub fn turn(&mut self, now: Instant, around: &mut TurnEnv<'_>) -> Turn {
        self.poll_rx(now, around.link);
        self.process(now, around)
    }

    /// The first part of a turn, for who has a clock that runs meanwhile: takes frames from the link. What
    /// [`work`](Self::work) then takes for now must have been read after it. Read before, and while another
    /// program has the core, answers arrive that seem to have come when it was taken away, sooner than the
    /// path allows: a model of the path believes the shortest round trip for ten seconds.
    pub fn poll_rx(&mut self, now: Instant, link: &mut dyn Link) {
        link.receive(now, self.batch_max, &mut self.batch.frames);
    }

    /// The rest of it.
    pub fn process(&mut self, now: Instant, around: &mut TurnEnv<'_>) -> Turn {
        let Self { engine, batch, .. } = self;
        engine.begin(now);
        let received = batch.frames.len() + batch.inbox.len();
        let answered = if received > 0 { engine.take_in(batch, around) } else { 0 };
        let TurnEnv { link, service, .. } = around;
        let mut outlet = Outlet::new(&mut **link, now);
        engine.run_application(&mut **service);
        engine.advance_timers(&mut **service, &mut outlet);
        engine.run_application(&mut **service);
        engine.tend_memory();
        engine.send_owed(&mut **service, &mut outlet);
        engine.tend_neighbours(&mut outlet);
        let sent = answered + outlet.close();
        link.flush(now);
        let busy = received + sent > 0;
        engine.counters.count(if busy { Event::BusyTurn } else { Event::IdleTurn });
        Turn { received, sent, stop: engine.stopping }
    }

    /// Lets the program act outside of its callbacks, as a call from elsewhere does: what it owes for that goes
    /// out at once, what happens is told.
    pub fn with_io<R>(
        &mut self,
        now: Instant,
        around: &mut TurnEnv<'_>,
        call: impl FnOnce(&mut dyn Io) -> R,
    ) -> R {
        let engine = &mut self.engine;
        engine.begin(now);
        let result = call(engine);
        let mut outlet = Outlet::new(around.link, now);
        engine.run_application(around.service);
        engine.send_owed(around.service, &mut outlet);
        engine.tend_neighbours(&mut outlet);
        outlet.close();
        around.link.flush(now);
        result
    }

    /// Takes a frame that another worker has handed here; the next turn feeds it with its own.
    pub fn inject_handover(&mut self, frame: &[u8], hops: u8) {
        self.engine.counters.count(Event::TakenOver);
        self.batch.inbox.push(frame, hops);
    }

    /// When the shard wants its next turn although nothing arrives.
    pub fn deadline(&self) -> Option<Instant> {
        if self.batch.inbox.len() > 0 || self.engine.may_start() {
            return Some(self.engine.now);
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
            Some(address) => Some(engine.locals.number_of(address).ok_or(ListenError::NotLocal)?),
            None => None,
        };
        let listener = engine.listeners.open(config, local)?;
        engine.tables.embryos.expect_listener(listener.0);
        Ok(listener)
    }

    /// Whether and how a listener takes data from SYNs (RFC 7413), from now on.
    pub fn set_fast_open(&mut self, listener: ListenerId, fast_open: Option<FastOpenListener>) {
        if let Some(config) = self.engine.listeners.config_mut(listener) {
            config.fast_open = fast_open;
        }
    }

    /// The operator's keys for the cookies of Fast Open, in place of those drawn from the secret.
    pub fn set_fast_open_keys(&mut self, keys: tcp::CookieKeys) {
        self.engine.fast_opens.keys = keys;
    }

    /// Stops listening; connections that were accepted live on, handshakes under way find nobody.
    pub fn unlisten(&mut self, listener: ListenerId) {
        self.engine.listeners.close(listener);
    }

    /// Closes every connection after what was written, and stops listening.
    pub fn close_all(&mut self, now: Instant) {
        self.end_all(now, |flow, env| flow.connection.close_both(env));
    }

    /// Resets every connection, and stops listening.
    pub fn abort_all(&mut self, now: Instant) {
        self.end_all(now, |flow, env| flow.connection.abort(env));
    }

    fn end_all(
        &mut self,
        now: Instant,
        end: impl Fn(&mut super::flow::Flow, &mut crate::tcp::Env<'_>),
    ) {
        let engine = &mut self.engine;
        engine.begin(now);
        let open: Vec<ListenerId> = engine.listeners.ids().collect();
        for listener in open {
            engine.listeners.close(listener);
        }
        for index in 0..engine.tables.embryos.high_water() {
            engine.tables.remove_embryo(index);
        }
        for index in 0..engine.tables.flows.high_water() {
            if let Some(flow) = engine.tables.flows.at_mut(index) {
                end(flow, &mut lend!(engine));
                engine.touched(index);
            }
        }
        let orphans = engine.tables.flows.iter().filter(|(_, flow)| flow.connection.is_orphan());
        engine.orphans = orphans.count();
    }

    /// The shard's addresses and how each stands.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, AddressState)> + '_ {
        self.engine.locals.all().map(|local| (local.address, local.standing))
    }

    /// Whether an address still waits to be known as ours.
    pub fn is_claiming(&self) -> bool {
        self.engine.is_claiming()
    }

    /// An address that the shard has made itself and is about to claim, one a call: frames for it are to come here.
    pub fn take_adopted(&mut self) -> Option<IpAddr> {
        self.engine.discovery.as_mut()?.take_adopted()
    }

    /// A station that claims an address of ours, which was defended, one a call.
    pub fn take_contested(&mut self) -> Option<(IpAddr, MacAddr)> {
        self.engine.contested.pop()
    }

    /// Connections of every kind but TIME-WAIT.
    pub fn connections(&self) -> usize {
        self.engine.tables.flows.len() + self.engine.tables.embryos.len()
    }

    /// Connections in TIME-WAIT.
    pub const fn time_waits(&self) -> usize {
        self.engine.tables.time_waits.len()
    }

    /// How each connection is doing.
    pub fn list(&self) -> impl Iterator<Item = ConnInfo> + '_ {
        self.engine.tables.flows.iter().map(|(_, flow)| self.engine.describe(flow))
    }

    /// How flows of every kind are doing, those in SYN-RECEIVED and TIME-WAIT included, from `from` on: as many
    /// as `rows` has room for without growing. Gives where to go on; `None` when that was all.
    pub fn census(&self, from: Cursor, rows: &mut Vec<ConnInfo>) -> Option<Cursor> {
        self.engine.census(from, rows)
    }

    /// How long handshakes took, as far as one was timed: from our SYN or SYN-ACK to its answer.
    pub const fn handshakes(&self) -> &Latencies {
        &self.engine.handshakes
    }

    /// How a connection is doing, in the protocol's own words; `None` for a stale handle.
    pub fn inspect(&self, conn: ConnId) -> Option<tcp::Info> {
        self.engine.inspect(conn)
    }

    /// Changes how TCP behaves, for what begins from now on and for what is looked up anew: sizes of
    /// buffers, timeouts, limits. What a connection has agreed with its peer stays.
    pub fn set_settings(&mut self, settings: tcp::Settings) {
        self.engine.set_settings(settings);
    }

    /// Timers of connections and embryos that are armed; looks at all of them.
    pub fn timers(&self) -> usize {
        self.engine.wheel.armed()
    }

    /// The NIC divides flows in another way from now on. Only where it did foreseeably, and does: otherwise the
    /// workers' shares of the ports would change under their connections, and frames find their way round anyhow.
    pub fn set_steering(&mut self, steering: &Steering) {
        let mine = &mut self.engine.steering;
        if matches!((&*mine, steering), (Steering::Rss { .. }, Steering::Rss { .. })) {
            mine.clone_from(steering);
        }
    }

    /// The link takes packets of `mtu` bytes from now on. Connections that are open send no larger ones any more;
    /// that it takes larger ones only new connections make use of.
    pub fn set_mtu(&mut self, now: Instant, mtu: usize) {
        let engine = &mut self.engine;
        engine.begin(now);
        engine.set_mtu(mtu);
        let told = u16::try_from(mtu).unwrap_or(u16::MAX);
        for index in 0..engine.tables.flows.high_water() {
            if let Some(flow) = engine.tables.flows.at_mut(index) {
                flow.connection.on_path_mtu(told);
                engine.touched(index);
            }
        }
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> &Counters {
        &self.engine.counters
    }

    /// Counts `n` events of what is around the shard.
    pub const fn count(&mut self, event: Event, n: u64) {
        self.engine.counters.add(event, n);
    }

    /// Bytes of send and receive buffers in use.
    pub fn buffer_bytes(&self) -> usize {
        self.engine.pool.in_use()
    }

    /// How the memory of the buffers is shared out.
    pub fn memory(&self) -> Memory {
        let (pool, accounts) = (&self.engine.pool, self.engine.pool.accounts());
        Memory {
            limit: pool.limit(),
            promised: accounts.promised(),
            lent: accounts.allocated(),
            in_use: pool.in_use(),
            held: pool.held(),
        }
    }

    /// Changes how much memory buffers may have. Past a lower limit, what is in use stays so until it is given
    /// back; windows give way.
    pub fn set_memory_limit(&mut self, bytes: usize) {
        self.engine.pool.set_limit(bytes);
    }

    /// In shared mode, what the kernel knows of a neighbour now; `None`, nothing any more. What waited for
    /// it goes out with the next turn.
    pub fn mirror_neighbour(&mut self, now: Instant, address: IpAddr, mac: Option<[u8; 6]>) {
        let engine = &mut self.engine;
        match mac {
            Some(mac) => {
                let learned = engine.neighbours.set_permanent(now, address, MacAddr(mac));
                if let Learned::Resolved(neighbour) = learned {
                    engine.resolved.push(neighbour);
                }
            }
            None => engine.neighbours.forget(address),
        }
    }

    /// In shared mode, a route that the kernel has.
    pub fn add_route(&mut self, route: Route) {
        if self.engine.role == Role::Shared {
            self.engine.routes.add(route);
        }
    }

    /// In shared mode, a route that the kernel has no longer.
    pub fn remove_route(&mut self, prefix: Prefix, gateway: Option<IpAddr>, metric: u32) {
        if self.engine.role == Role::Shared {
            self.engine.routes.remove(prefix, gateway, metric);
        }
    }

    /// In shared mode, a neighbour that the kernel should be asked for, one a call.
    pub fn wanted_neighbour(&mut self) -> Option<IpAddr> {
        self.engine.wanted.pop()
    }
}

impl Engine {
    /// Steps 2 to 4: everything that arrived is parsed, looked up and fed, and the frames go back. Returns
    /// how many answers were sent at once.
    fn take_in(&mut self, batch: &mut Batch, around: &mut TurnEnv<'_>) -> usize {
        let eyes = Eyes {
            mac: self.mac,
            locals: &self.locals,
            hasher: &self.tables.hasher,
            accept_partial_checksums: self.accept_partial_checksums,
        };
        batch.parse(&eyes, |reason| self.counters.drop(reason));
        self.look_up(batch);
        let mut outlet = Outlet::new(&mut *around.link, self.now);
        for (source, kind) in &batch.control {
            let (frame, hops) = batch.bytes(*source);
            let (outlet, handover) = (&mut outlet, &mut *around.handover);
            let was_cut = batch.was_cut(*source);
            self.on_control(*kind, &mut Notice { frame, hops, was_cut, outlet, handover });
        }
        let mut exits = Exits { outlet: &mut outlet, handover: &mut *around.handover };
        self.feed(batch, &mut exits);
        let answered = outlet.close();
        for frame in batch.frames.drain(..) {
            around.link.release(frame);
        }
        batch.inbox.clear();
        batch.inbox.append(&mut self.wholes);
        answered
    }
}
