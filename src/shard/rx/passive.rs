//! Passive opens: from a SYN to an embryo or a cookie, and from there to a connection.

use core::net::IpAddr;

use crate::metrics::{DropReason, Event};
use crate::shard::app::events::enlist;
use crate::shard::app::service::ListenerId;
use crate::shard::engine::{Engine, lend};
use crate::shard::flow::entry::Flow;
use crate::shard::flow::listeners::ListenerConfig;
use crate::shard::ip::neighbour::NeighbourId;
use crate::shard::ip::routes::Cast;
use crate::shard::rx::demux::Letter;
use crate::shard::rx::fast_open::Reception;
use crate::shard::rx::parse::Arrival;
use crate::shard::tx::segments::Outlet;
use crate::tcp::{Connection, Embryo, EmbryoDeadline, Env, FlowSecrets, Segment, TimeWait};

impl Engine {
    /// A SYN for a listener (RFC 9293 §3.10.7.2), over a connection in TIME-WAIT perhaps.
    pub(in crate::shard) fn on_syn(
        &mut self,
        listener: ListenerId,
        predecessor: Option<&TimeWait>,
        letter: &Letter<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let key = &letter.arrival.key;
        let Some(config) = self.listeners.config(listener).copied() else { return };
        // Not a way to open a connection since RFC 793; only scanners send it, but for Fast Open.
        let may_end = config.fast_open.is_some() && letter.segment.rare.fast_open.is_some();
        if letter.segment.flags.fin() && !may_end {
            self.counters.drop(DropReason::Malformed);
            return;
        }
        // RFC 9293 §3.9.2.3:
        //   > An incoming SYN with an invalid source address MUST be ignored (MUST-63).
        if self.is_broadcast(key.remote.address()) {
            self.counters.drop(DropReason::BadSource);
            return;
        }
        let mut cookie = None;
        if let Some(fast_open) = config.fast_open {
            match self.on_fast_syn(listener, fast_open, predecessor, letter) {
                Reception::Accepted => return,
                Reception::Ordinary(option) => cookie = option,
            }
        }
        let under_way = self.tables.embryos.of_listener(listener.0);
        if self.tables.embryos.is_full() || under_way >= config.backlog as usize {
            if config.cookies {
                self.send_cookie(&config, letter, outlet);
            } else {
                self.counters.drop(DropReason::BacklogFull);
            }
            return;
        }
        let secrets = self.secrets.of_flow(letter.arrival.hash);
        let drawn = self.draw_iss(secrets);
        let iss = predecessor.map_or(drawn, |old| old.iss(drawn));
        let ipv6 = !key.remote.is_ipv4();
        let (now, settings) = (self.now, config.settings(&self.settings));
        let mut embryo = Embryo::from_syn(letter.segment, listener.0, iss, now, &settings, ipv6);
        embryo.offer_at_most(self.pool.credit(), &self.settings);
        self.add_embryo(letter.arrival, embryo);
        let offset = secrets.timestamp_offset;
        let mut syn_ack = embryo.syn_ack(self.now, offset, &self.settings, ipv6);
        // RFC 7413 §4.2.1: the first one only: "retransmit SYN and SYN-ACK packets without the cookie options".
        syn_ack.rare.fast_open = cookie;
        self.answer(letter.arrival, &syn_ack, outlet);
    }

    /// Whether an address is the broadcast of one of our networks.
    #[inline]
    fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return false };
        let networks = || self.locals.usable().map(|local| (local.address, local.prefix));
        self.locals.may_be_broadcast(v4) && Cast::of(address, networks()) != Cast::Unicast
    }

    fn add_embryo(&mut self, arrival: &Arrival, embryo: Embryo) {
        match self.tables.add_embryo(arrival.hash, arrival.key, embryo) {
            Some(index) => self.arm_embryo(index),
            None => self.counters.drop(DropReason::TableFull),
        }
    }

    /// The deadline of an embryo; its number on the wheel comes after those of all connections.
    fn arm_embryo(&mut self, index: u32) {
        if let Some(embryo) = self.tables.embryos.get(index) {
            let at = embryo.deadline(self.now);
            self.wheel.arm(self.first_embryo + index, at);
        }
    }

    /// The SYN-ACK of an embryo again, to the station that sent the SYN again.
    pub(in crate::shard) fn send_syn_ack(
        &mut self,
        embryo: &Embryo,
        arrival: &Arrival,
        outlet: &mut Outlet<'_>,
    ) {
        let offset = self.secrets.of_flow(arrival.hash).timestamp_offset;
        let ipv6 = !arrival.key.remote.is_ipv4();
        let syn_ack = embryo.syn_ack(self.now, offset, &self.settings, ipv6);
        self.answer(arrival, &syn_ack, outlet);
    }

    /// The answer to a SYN for which there is no room (RFC 4987 §3.6).
    fn send_cookie(
        &mut self,
        config: &ListenerConfig,
        letter: &Letter<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let arrival = letter.arrival;
        let offset = self.secrets.of_flow(arrival.hash).timestamp_offset;
        let (key, ipv6) = (arrival.key.bytes(), !arrival.key.remote.is_ipv4());
        let (now, syn) = (self.now, letter.segment);
        let settings = config.settings(&self.settings);
        let answer = self.cookies.syn_ack(&key, syn, now, offset, &settings, ipv6);
        self.counters.count(Event::CookieSent);
        self.answer(arrival, &answer, outlet);
    }

    /// The ACK of a handshake: the embryo becomes a connection, which is fed the same segment.
    pub(in crate::shard) fn establish(&mut self, index: u32, letter: &Letter<'_>) {
        let Some(embryo) = self.tables.embryos.get(index).copied() else { return };
        let listener = ListenerId(embryo.listener());
        if self.listeners.config(listener).is_none() {
            self.tables.remove_embryo(index);
            self.counters.drop(DropReason::NoConnection);
            return;
        }
        // Without room the embryo stays: the peer's next segment tries again.
        let Some(accepted) = self.accept(&embryo, letter) else { return };
        let hash = letter.arrival.hash;
        let conn = if embryo.is_plain(&self.settings) {
            self.tables.grow_up(hash, index, || accepted.plain_flow(&mut lend!(self)))
        } else {
            self.tables.grow_up(hash, index, || accepted.flow(&mut lend!(self)))
        };
        self.feed_accepted(conn.index, listener, letter);
    }

    /// An ACK to a listener for which there is nothing: perhaps a cookie comes back. Returns whether the
    /// segment was dealt with.
    pub(in crate::shard) fn establish_from_cookie(
        &mut self,
        listener: ListenerId,
        letter: &Letter<'_>,
    ) -> bool {
        let arrival = letter.arrival;
        let key = arrival.key;
        let Some(content) = self.cookies.check(&key.bytes(), letter.segment, self.now) else {
            return false;
        };
        let ipv6 = !key.remote.is_ipv4();
        let Some(config) = self.listeners.config(listener) else { return false };
        let settings = config.settings(&self.settings);
        let embryo = Embryo::from_cookie(&content, listener.0, self.now, &settings, ipv6);
        let Some(accepted) = self.accept(&embryo, letter) else { return true };
        let flow = accepted.flow(&mut lend!(self));
        match self.tables.add_flow(arrival.hash, flow) {
            Some(conn) => {
                self.counters.count(Event::CookieAccepted);
                self.feed_accepted(conn.index, listener, letter);
            }
            None => self.counters.drop(DropReason::TableFull),
        }
        true
    }

    /// What is needed for the connection of a finished handshake, if there is room for it and a way back.
    #[inline(always)]
    fn accept<'a>(&mut self, embryo: &'a Embryo, letter: &'a Letter<'a>) -> Option<Accepted<'a>> {
        if self.tables.flows.is_full() {
            self.counters.drop(DropReason::TableFull);
            return None;
        }
        let Some(neighbour) = self.neighbour_towards(letter.arrival.key.remote.address()) else {
            self.counters.drop(DropReason::NoRoute);
            return None;
        };
        let timestamp_offset = self.secrets.of_flow(letter.arrival.hash).timestamp_offset;
        Some(Accepted { embryo, letter, neighbour, timestamp_offset })
    }

    /// Feeds the ACK of the handshake, which may bear data or a FIN.
    fn feed_accepted(&mut self, index: u32, listener: ListenerId, letter: &Letter<'_>) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        if let Some(algorithm) = self.listeners.congestion(listener) {
            flow.connection.set_congestion_control(algorithm);
        }
        let disposition = flow.connection.on_segment(&mut lend!(self), letter.segment);
        enlist(flow, index, &mut self.ready, &mut self.marked);
        self.count(disposition);
    }

    /// The deadline of an embryo has come, or may have.
    pub(in crate::shard) fn on_embryo_deadline(&mut self, index: u32, outlet: &mut Outlet<'_>) {
        let Some(key) = self.tables.embryos.key(index) else { return };
        let Some(embryo) = self.tables.embryos.get_mut(index) else { return };
        match embryo.on_deadline(self.now, &self.settings) {
            EmbryoDeadline::NotYet => self.arm_embryo(index),
            EmbryoDeadline::GiveUp => self.tables.remove_embryo(index),
            EmbryoDeadline::Retransmit => {
                let embryo = *embryo;
                self.arm_embryo(index);
                self.counters.count(Event::Retransmitted);
                let hash = self.tables.hasher.hash(&key);
                let FlowSecrets { timestamp_offset, .. } = self.secrets.of_flow(hash);
                let ipv6 = !key.remote.is_ipv4();
                let syn_ack = embryo.syn_ack(self.now, timestamp_offset, &self.settings, ipv6);
                self.send_by_route(&key, &syn_ack, outlet);
            }
        }
    }
}

/// A finished handshake, before there is a connection.
struct Accepted<'a> {
    embryo: &'a Embryo,
    letter: &'a Letter<'a>,
    neighbour: NeighbourId,
    timestamp_offset: u32,
}

impl Accepted<'_> {
    /// Makes the connection.
    #[inline(never)]
    fn flow(&self, env: &mut Env<'_>) -> Flow {
        self.flow_of(env, Connection::from_embryo)
    }

    /// Makes the connection of a plain embryo, where it is to stay: it is large.
    #[inline(always)]
    fn plain_flow(&self, env: &mut Env<'_>) -> Flow {
        self.flow_of(env, Connection::from_plain_embryo)
    }

    #[inline(always)]
    fn flow_of(
        &self,
        env: &mut Env<'_>,
        make: impl FnOnce(&mut Env<'_>, &Embryo, u32, bool, &Segment<'_>) -> Connection,
    ) -> Flow {
        let Arrival { key, hash, .. } = *self.letter.arrival;
        let (ipv6, listener) = (!key.remote.is_ipv4(), ListenerId(self.embryo.listener()));
        let connection = make(env, self.embryo, self.timestamp_offset, ipv6, self.letter.segment);
        Flow::accepted(key, hash, self.neighbour, connection, listener)
    }
}
