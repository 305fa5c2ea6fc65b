//! Passive Fast Open: a SYN with the option or with data reaches a listener with Fast Open enabled
//! (RFC 7413 §4.2.2).

use core::net::IpAddr;

use crate::metrics::Event;
use crate::shard::engine::Engine;
use crate::shard::fast_open::config::FastOpenListener;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::flow::entry::Flow;
use crate::shard::flow::id::ListenerId;
use crate::shard::flow::key::FlowKey;
use crate::shard::rx::segment::RxSegment;
use crate::tcp::{Connection, Embryo, FastOpen, Judgement, TimeWait};

/// Result of a Fast Open SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum FastSynResult {
    /// The SYN created a connection.
    Accepted,
    /// The SYN gets a regular handshake, with this option in the SYN-ACK.
    Regular(Option<FastOpen>),
}

/// Input of a cookie: the client's address, then the local address.
struct CookieInput {
    bytes: [u8; 32],
    len: usize,
}

impl CookieInput {
    fn new(client: IpAddr, server: IpAddr) -> Self {
        let mut input = Self { bytes: [0; 32], len: 0 };
        input.push(client);
        input.push(server);
        input
    }

    fn push(&mut self, address: IpAddr) {
        let (v4, v6);
        let octets: &[u8] = match address {
            IpAddr::V4(address) => {
                v4 = address.octets();
                &v4
            }
            IpAddr::V6(address) => {
                v6 = address.octets();
                &v6
            }
        };
        self.bytes[self.len..self.len + octets.len()].copy_from_slice(octets);
        self.len += octets.len();
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Engine {
    /// Processes a Fast Open SYN: RFC 7413 §4.2.2, "Server: Receiving SYN and responding with
    /// SYN-ACK", (2) to (5).
    pub(in crate::shard) fn on_fast_open_syn(
        &mut self,
        listener: ListenerId,
        fast_open: FastOpenListener,
        predecessor: Option<&TimeWait>,
        rx: &RxSegment<'_>,
    ) -> FastSynResult {
        let (key, segment) = (rx.arrival.key, rx.segment);
        let option = segment.rare.fast_open;
        let input = CookieInput::new(key.remote.address(), self.ip.locals.address(key.local));
        let new_cookie = |engine: &mut Self| {
            let cookie = engine.tcp.fast_open.keys.cookie(input.as_slice(), engine.turn.now);
            option.map(|FastOpen { form, .. }| FastOpen { form, cookie: Some(cookie) })
        };
        let renewed = match option.map(|option| option.cookie) {
            None if !fast_open.without_cookie || segment.payload.is_empty() => {
                return FastSynResult::Regular(None);
            }
            Some(None) if !fast_open.without_cookie || segment.payload.is_empty() => {
                self.turn.counters.count(Event::FastOpenCookieSent);
                return FastSynResult::Regular(new_cookie(self));
            }
            None | Some(None) => None,
            Some(Some(cookie)) => {
                match self.tcp.fast_open.keys.judge(input.as_slice(), &cookie, self.turn.now) {
                    Judgement::Good => None,
                    Judgement::Aging => new_cookie(self),
                    Judgement::Bad if fast_open.without_cookie => None,
                    Judgement::Bad => {
                        self.turn.counters.count(Event::FastOpenBadCookie);
                        return FastSynResult::Regular(new_cookie(self));
                    }
                }
            }
        };
        // RFC 7413 §4.2:
        //   > If this variable goes over a preset system limit, the server MUST disable TFO for all
        //   > new connection requests until PendingFastOpenRequests drops below the system limit.
        if self.tcp.fast_open.pending.of(listener.0, self.turn.now) >= fast_open.pending {
            self.turn.counters.count(Event::FastOpenLimited);
            return FastSynResult::Regular(None);
        }
        self.accept_with_data(listener, predecessor, rx, renewed)
    }

    /// Creates the connection, (4): "Buffer the data and notify the application. Set the FastOpened
    /// flag and increment PendingFastOpenRequests."
    fn accept_with_data(
        &mut self,
        listener: ListenerId,
        predecessor: Option<&TimeWait>,
        rx: &RxSegment<'_>,
        renewed: Option<FastOpen>,
    ) -> FastSynResult {
        let (arrival, segment) = (rx.arrival, rx.segment);
        let FlowKey { remote, .. } = arrival.key;
        let neighbour = self.ip.neighbour_towards(self.turn.now, remote.address());
        let (Some(neighbour), false) = (neighbour, self.tcp.tables.flows.is_full()) else {
            return FastSynResult::Regular(None);
        };
        if self.tcp.listeners.config(listener).is_none() {
            return FastSynResult::Regular(None);
        }
        let secrets = self.tcp.secrets.of_flow(arrival.hash);
        let drawn = self.tcp.draw_iss(self.turn.now, secrets);
        let iss = predecessor.map_or(drawn, |old| old.iss(drawn));
        let (now, ipv6) = (self.turn.now, !remote.is_ipv4());
        let settings = self.tcp.listeners.settings(listener, &self.tcp.settings);
        let mut embryo = Embryo::from_syn(segment, listener.0, iss, now, &settings, ipv6);
        embryo.offer_at_most(self.tcp.pool.credit(), &settings);
        let (offset, mut env) = (secrets.timestamp_offset, conn_env!(self.tcp, self.turn.now));
        let mut connection = Connection::from_fast_open(&mut env, &embryo, offset, ipv6, segment);
        if let Some(option) = renewed {
            connection.renew_cookie(option);
        }
        if let Some(config) = self.tcp.listeners.choices(listener) {
            config.apply(&mut connection, &mut conn_env!(self.tcp, self.turn.now));
        }
        let flow = Flow::accepted(arrival.key, arrival.hash, neighbour, connection, listener);
        let Some(conn) = self.tcp.tables.add_flow(arrival.hash, flow) else {
            return FastSynResult::Regular(None);
        };
        if let Some(flow) = self.tcp.tables.flows.at_mut(conn.index) {
            flow.set_pending_fast_open();
            flow.connection.take_syn_data(&mut conn_env!(self.tcp, self.turn.now), segment);
        }
        self.tcp.fast_open.pending.add(listener.0);
        self.turn.counters.count(Event::FastOpenAccepted);
        self.tcp.schedule(conn.index);
        FastSynResult::Accepted
    }
}
