//! Active opens: choice of the local address and port, and reuse of TIME-WAIT (RFC 6191).

use core::net::SocketAddr;

use crate::metrics::Event;
use crate::shard::app::service::{ConnectError, ConnectOptions};
use crate::shard::engine::Engine;
use crate::shard::fast_open::config::Early;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::flow::entry::Flow;
use crate::shard::flow::flow_table::{Kind, Place};
use crate::shard::flow::id::ConnId;
use crate::shard::flow::key::FlowKey;
use crate::shard::flow::ports::{Destination, PortUse};
use crate::shard::flow::tables::Tables;
use crate::shard::ip::routes::Cast;
use crate::tcp::{Connection, REUSE_DELAY, SeqNum, TimeWait};
use crate::time::Instant;

/// The four-tuple chosen for an active open.
struct Chosen {
    key: FlowKey,
    hash: u64,
    iss: SeqNum,
}

impl Engine {
    /// Opens a connection. Its SYN leaves in this turn.
    pub(in crate::shard) fn open(&mut self, open: &ConnectOptions) -> Result<ConnId, ConnectError> {
        self.open_with(open, None)
    }

    /// Opens a connection, with `early` data in the SYN if the server is known to accept it
    /// (RFC 7413).
    pub(in crate::shard) fn open_with(
        &mut self,
        open: &ConnectOptions,
        early: Option<&Early<'_>>,
    ) -> Result<ConnId, ConnectError> {
        // RFC 9293 §3.9.2.3:
        //   > A TCP implementation MUST reject as an error a local OPEN call for an invalid remote
        //   > IP address (e.g., a broadcast or multicast address) (MUST-46).
        let networks = self.ip.locals.usable().map(|local| (local.address, local.prefix));
        if Cast::of(open.remote.ip(), networks) != Cast::Unicast {
            return Err(ConnectError::NoRoute);
        }
        let neighbour = self
            .ip
            .neighbour_towards(self.turn.now, open.remote.ip())
            .ok_or(ConnectError::NoRoute)?;
        if self.tcp.tables.flows.is_full() {
            return Err(ConnectError::TableFull);
        }
        let Chosen { key, hash, iss } = self.choose(open)?;
        let offset = self.tcp.secrets.of_flow(hash).timestamp_offset;
        let ipv6 = open.remote.is_ipv6();
        let mut connection =
            Connection::open(&mut conn_env!(self.tcp, self.turn.now), iss, offset, ipv6);
        let attempt = early
            .and_then(|early| self.fast_open_attempt(key.local, open.remote, early.without_cookie));
        if let Some(attempt) = attempt {
            connection.attempt_fast_open(attempt);
        }
        let flow = Flow::opened(key, hash, neighbour, connection, open.user, self.turn.now);
        let conn = self.tcp.tables.add_flow(hash, flow).ok_or(ConnectError::TableFull)?;
        self.turn.counters.count(Event::ActiveOpen);
        self.tcp.schedule(conn.index);
        Ok(conn)
    }

    /// Chooses a local address and port. If the program names no address, rotates through the local
    /// ones and skips those whose ports are all in use.
    fn choose(&mut self, open: &ConnectOptions) -> Result<Chosen, ConnectError> {
        if let Some(address) = open.local {
            let same_family = address.is_ipv6() == open.remote.is_ipv6();
            let local = self.ip.locals.find(address).filter(|_| same_family);
            return self
                .choose_port(open.remote, local.ok_or(ConnectError::NoAddress)?)
                .ok_or(ConnectError::NoPort);
        }
        let ipv6 = open.remote.is_ipv6();
        let candidates = self.ip.locals.count(ipv6);
        for _ in 0..candidates {
            self.tcp.opens = self.tcp.opens.wrapping_add(1);
            let local =
                self.ip.locals.rotate(ipv6, self.tcp.opens).ok_or(ConnectError::NoAddress)?;
            if let Some(chosen) = self.choose_port(open.remote, local) {
                return Ok(chosen);
            }
        }
        Err(if candidates == 0 { ConnectError::NoAddress } else { ConnectError::NoPort })
    }

    fn choose_port(&mut self, remote: SocketAddr, local: u8) -> Option<Chosen> {
        let destination = Destination::new(&self.tcp.tables.hasher, remote, local);
        let (now, worker) = (self.turn.now, self.workers.this);
        let (tables, steering) = (&self.tcp.tables, &self.workers.steering);
        let address = self.ip.locals.address(local);
        let chosen = self.tcp.ports.choose(destination, |port| {
            let key = FlowKey::new(remote.ip(), remote.port(), local, port);
            let hash = tables.hasher.hash(&key);
            // The replies must arrive at this worker, if the steering is predictable.
            let local = SocketAddr::new(address, port);
            if steering.determines_owner() && steering.owner(hash, remote, local) != worker {
                return PortUse::InUse;
            }
            port_use(tables, hash, &key, now)
        })?;
        let key = FlowKey::new(remote.ip(), remote.port(), local, chosen.port);
        let hash = self.tcp.tables.hasher.hash(&key);
        let drawn = self.tcp.draw_iss(self.turn.now, self.tcp.secrets.of_flow(hash));
        let iss = if chosen.reuses { self.replace_time_wait(hash, &key, drawn) } else { drawn };
        Some(Chosen { key, hash, iss })
    }

    /// Removes the TIME-WAIT of the same four-tuple. Returns an initial sequence number beyond its
    /// last.
    fn replace_time_wait(&mut self, hash: u64, key: &FlowKey, drawn: SeqNum) -> SeqNum {
        let Some(place) = self.tcp.tables.find(hash, key) else { return drawn };
        let iss =
            self.tcp.tables.time_waits.get(place.index).map_or(drawn, |state| state.iss(drawn));
        self.tcp.tables.remove_time_wait(place.index);
        self.turn.counters.count(Event::TimeWaitReused);
        iss
    }
}

/// Returns the state of a port towards one destination.
fn port_use(tables: &Tables, hash: u64, key: &FlowKey, now: Instant) -> PortUse {
    let Some(Place { kind, index }) = tables.find(hash, key) else { return PortUse::Free };
    // Without timestamps a TIME-WAIT cannot be replaced before it expires. Its end releases the
    // port.
    if kind != Kind::TimeWaitTimestamps {
        return PortUse::InUse;
    }
    let may = |state: &TimeWait| {
        let quiet_since = tables.time_waits.quiet_since(index);
        state.may_reopen(true, quiet_since, now, REUSE_DELAY).is_some()
    };
    if tables.time_waits.get(index).is_some_and(may) { PortUse::Reusable } else { PortUse::Waiting }
}
