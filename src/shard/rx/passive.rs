//! Passive opens: from a SYN to an embryo or a cookie, and from there to a connection.

use core::net::IpAddr;

use crate::metrics::{DropReason, Event};
use crate::shard::engine::Engine;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::flow::entry::Flow;
use crate::shard::flow::id::{ListenerId, NeighbourId};
use crate::shard::flow::listeners::ListenerConfig;
use crate::shard::ip::routes::Cast;
use crate::shard::mem::tx_queue::TxQueue;
use crate::shard::rx::batch::Arrival;
use crate::shard::rx::drop_reason::drop_reason;
use crate::shard::rx::fast_open::FastSynResult;
use crate::shard::rx::segment::RxSegment;
use crate::tcp::{
    Connection, Deferral, Disposition, Embryo, EmbryoDeadline, Env, FlowSecrets, Segment,
    SegmentOut, TimeWait,
};
use crate::time::Duration;

impl Engine {
    /// Processes a SYN for a listener (RFC 9293 §3.10.7.2). `predecessor` is the TIME-WAIT entry
    /// that the SYN replaces, if any.
    pub(in crate::shard) fn on_syn(
        &mut self,
        listener: ListenerId,
        predecessor: Option<&TimeWait>,
        rx: &RxSegment<'_>,
        queue: &mut TxQueue<'_>,
    ) {
        let key = &rx.arrival.key;
        let Some(config) = self.tcp.listeners.config(listener) else { return };
        let ListenerConfig { backlog, cookies, fast_open, .. } = *config;
        // SYN and FIN together open no connection since RFC 793, and only scanners send them,
        // except with Fast Open.
        let may_end = fast_open.is_some() && rx.segment.rare.fast_open.is_some();
        if rx.segment.flags.fin() && !may_end {
            self.turn.counters.drop(DropReason::Malformed);
            return;
        }
        // RFC 9293 §3.9.2.3:
        //   > An incoming SYN with an invalid source address MUST be ignored (MUST-63).
        if self.is_broadcast(key.remote.address()) {
            self.turn.counters.drop(DropReason::BadSource);
            return;
        }
        let mut cookie = None;
        if let Some(fast_open) = fast_open {
            match self.on_fast_open_syn(listener, fast_open, predecessor, rx) {
                FastSynResult::Accepted => return,
                FastSynResult::Regular(option) => cookie = option,
            }
        }
        let under_way = self.tcp.tables.embryos.of_listener(listener.0);
        if self.tcp.tables.embryos.is_full() || under_way >= backlog as usize {
            if cookies {
                self.send_cookie(listener, rx, queue);
            } else {
                self.turn.counters.drop(DropReason::BacklogFull);
            }
            return;
        }
        let secrets = self.tcp.secrets.of_flow(rx.arrival.hash);
        let drawn = self.tcp.draw_iss(self.turn.now, secrets);
        let iss = predecessor.map_or(drawn, |old| old.iss(drawn));
        let ipv6 = !key.remote.is_ipv4();
        let now = self.turn.now;
        let settings = self.tcp.listeners.settings(listener, &self.tcp.settings);
        let mut embryo = Embryo::from_syn(rx.segment, listener.0, iss, now, &settings, ipv6);
        let window = self.tcp.pool.credit().min(self.tcp.listeners.window_max(listener));
        embryo.offer_at_most(window, &self.tcp.settings);
        self.add_embryo(rx.arrival, embryo);
        let mut syn_ack = self.syn_ack(&embryo, secrets.timestamp_offset, ipv6);
        // RFC 7413 §4.2.1: only in the first one: "retransmit SYN and SYN-ACK packets without the
        // cookie options".
        syn_ack.rare.fast_open = cookie;
        self.answer(rx.arrival, &syn_ack, queue);
    }

    /// Returns true if an address is the broadcast address of a local network.
    #[inline]
    fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return false };
        let networks = || self.ip.locals.usable().map(|local| (local.address, local.prefix));
        self.ip.locals.may_be_broadcast(v4) && Cast::of(address, networks()) != Cast::Unicast
    }

    fn add_embryo(&mut self, arrival: &Arrival, embryo: Embryo) {
        match self.tcp.tables.add_embryo(arrival.hash, arrival.key, embryo) {
            Some(index) => self.arm_embryo(index),
            None => self.turn.counters.drop(DropReason::TableFull),
        }
    }

    /// Arms the timer of an embryo. On the wheel, embryos are numbered after all connections.
    fn arm_embryo(&mut self, index: u32) {
        if let Some(embryo) = self.tcp.tables.embryos.get(index) {
            let at = embryo.deadline(self.turn.now);
            self.tcp.wheel.arm(self.tcp.first_embryo + index, at);
        }
    }

    /// Retransmits the SYN-ACK of an embryo to the sender of the retransmitted SYN.
    pub(in crate::shard) fn send_syn_ack(
        &mut self,
        embryo: &Embryo,
        arrival: &Arrival,
        queue: &mut TxQueue<'_>,
    ) {
        let offset = self.tcp.secrets.of_flow(arrival.hash).timestamp_offset;
        let ipv6 = !arrival.key.remote.is_ipv4();
        let syn_ack = self.syn_ack(embryo, offset, ipv6);
        self.answer(arrival, &syn_ack, queue);
    }

    /// Builds the SYN-ACK of an embryo, with the MSS that its listener bounds.
    #[inline(always)]
    fn syn_ack(&self, embryo: &Embryo, offset: u32, ipv6: bool) -> SegmentOut<'static> {
        let mut syn_ack = embryo.syn_ack(self.turn.now, offset, &self.tcp.settings, ipv6);
        if let Some(config) = self.tcp.listeners.choices(ListenerId(embryo.listener())) {
            syn_ack.options.mss = syn_ack.options.mss.map(|mss| mss.min(config.mss()));
        }
        syn_ack
    }

    /// Replies with a SYN cookie to a SYN without room in the table (RFC 4987 §3.6).
    fn send_cookie(&mut self, listener: ListenerId, rx: &RxSegment<'_>, queue: &mut TxQueue<'_>) {
        let arrival = rx.arrival;
        let offset = self.tcp.secrets.of_flow(arrival.hash).timestamp_offset;
        let (key, ipv6) = (arrival.key.bytes(), !arrival.key.remote.is_ipv4());
        let (now, syn) = (self.turn.now, rx.segment);
        let settings = self.tcp.listeners.settings(listener, &self.tcp.settings);
        let answer = self.tcp.cookies.syn_ack(&key, syn, now, offset, &settings, ipv6);
        self.turn.counters.count(Event::CookieSent);
        self.answer(arrival, &answer, queue);
    }

    /// Processes the ACK of a handshake: the embryo becomes a connection, which processes the same
    /// segment.
    pub(in crate::shard) fn establish(&mut self, index: u32, rx: &RxSegment<'_>) {
        let Some(embryo) = self.tcp.tables.embryos.get(index).copied() else { return };
        let listener = ListenerId(embryo.listener());
        let Some(config) = self.tcp.listeners.config(listener) else {
            self.tcp.tables.remove_embryo(index);
            self.turn.counters.drop(DropReason::NoConnection);
            return;
        };
        if let Some(span) = config.defer_accept
            && self.defer_accept(index, rx.segment, span) != Deferral::Ends
        {
            return;
        }
        // Without room the embryo stays: the peer's next segment retries.
        let Some(accepted) = self.accept(&embryo, rx) else { return };
        let hash = rx.arrival.hash;
        let conn = if embryo.is_plain(&self.tcp.settings) {
            self.tcp.tables.promote_embryo(hash, index, || {
                accepted.plain_flow(&mut conn_env!(self.tcp, self.turn.now))
            })
        } else {
            self.tcp.tables.promote_embryo(hash, index, || {
                accepted.flow(&mut conn_env!(self.tcp, self.turn.now))
            })
        };
        self.process_handshake_ack(conn.index, listener, rx);
    }

    /// Decides if the end of a handshake waits for data.
    #[cold]
    fn defer_accept(&mut self, index: u32, ack: &Segment<'_>, span: Duration) -> Deferral {
        let now = self.turn.now;
        let Some(embryo) = self.tcp.tables.embryos.get_mut(index) else { return Deferral::Ends };
        let deferral = embryo.defer(now, ack, span);
        if deferral == Deferral::Begins {
            self.arm_embryo(index);
        }
        deferral
    }

    /// Establishes a connection if the ACK returns a valid SYN cookie. Returns true if the segment
    /// was handled.
    pub(in crate::shard) fn establish_from_cookie(
        &mut self,
        listener: ListenerId,
        rx: &RxSegment<'_>,
    ) -> bool {
        let arrival = rx.arrival;
        let key = arrival.key;
        let Some(content) = self.tcp.cookies.check(&key.bytes(), rx.segment, self.turn.now) else {
            return false;
        };
        let ipv6 = !key.remote.is_ipv4();
        if self.tcp.listeners.config(listener).is_none() {
            return false;
        }
        let settings = self.tcp.listeners.settings(listener, &self.tcp.settings);
        let mut embryo = Embryo::from_cookie(&content, listener.0, self.turn.now, &settings, ipv6);
        embryo.offer_at_most(self.tcp.listeners.window_max(listener), &self.tcp.settings);
        let Some(accepted) = self.accept(&embryo, rx) else { return true };
        let flow = accepted.flow(&mut conn_env!(self.tcp, self.turn.now));
        match self.tcp.tables.add_flow(arrival.hash, flow) {
            Some(conn) => {
                self.turn.counters.count(Event::CookieAccepted);
                self.process_handshake_ack(conn.index, listener, rx);
            }
            None => self.turn.counters.drop(DropReason::TableFull),
        }
        true
    }

    /// Returns the state for the connection of a completed handshake, if there is room and a route
    /// back.
    #[inline(always)]
    fn accept<'a>(&mut self, embryo: &'a Embryo, rx: &'a RxSegment<'a>) -> Option<Accepted<'a>> {
        if self.tcp.tables.flows.is_full() {
            self.turn.counters.drop(DropReason::TableFull);
            return None;
        }
        let Some(neighbour) =
            self.ip.neighbour_towards(self.turn.now, rx.arrival.key.remote.address())
        else {
            self.turn.counters.drop(DropReason::NoRoute);
            return None;
        };
        let timestamp_offset = self.tcp.secrets.of_flow(rx.arrival.hash).timestamp_offset;
        Some(Accepted { embryo, rx, neighbour, timestamp_offset })
    }

    /// Processes the ACK of the handshake, which may carry data or a FIN.
    #[inline(always)]
    fn process_handshake_ack(&mut self, index: u32, listener: ListenerId, rx: &RxSegment<'_>) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        if let Some(config) = self.tcp.listeners.choices(listener) {
            let env = &mut conn_env!(self.tcp, self.turn.now);
            config.apply(&mut flow.connection, env);
        }
        let disposition =
            flow.connection.on_segment(&mut conn_env!(self.tcp, self.turn.now), rx.segment);
        flow.schedule(index, &mut self.tcp.ready, &mut self.tcp.tx_pending);
        if disposition != Disposition::Accepted {
            self.turn.counters.drop(drop_reason(disposition));
        }
    }

    /// Handles the timer of an embryo, which may have expired early.
    pub(in crate::shard) fn on_embryo_deadline(&mut self, index: u32, queue: &mut TxQueue<'_>) {
        let Some(key) = self.tcp.tables.embryos.key(index) else { return };
        let Some(embryo) = self.tcp.tables.embryos.get_mut(index) else { return };
        match embryo.on_deadline(self.turn.now, &self.tcp.settings) {
            EmbryoDeadline::NotYet => self.arm_embryo(index),
            EmbryoDeadline::GiveUp => self.tcp.tables.remove_embryo(index),
            EmbryoDeadline::Retransmit => {
                let embryo = *embryo;
                self.arm_embryo(index);
                self.turn.counters.count(Event::Retransmitted);
                let hash = self.tcp.tables.hasher.hash(&key);
                let FlowSecrets { timestamp_offset, .. } = self.tcp.secrets.of_flow(hash);
                let ipv6 = !key.remote.is_ipv4();
                let syn_ack = self.syn_ack(&embryo, timestamp_offset, ipv6);
                self.send_by_route(&key, &syn_ack, queue);
            }
        }
    }
}

/// A completed handshake, before its connection exists.
struct Accepted<'a> {
    embryo: &'a Embryo,
    rx: &'a RxSegment<'a>,
    neighbour: NeighbourId,
    timestamp_offset: u32,
}

impl Accepted<'_> {
    /// Constructs the connection.
    #[inline(never)]
    fn flow(&self, env: &mut Env<'_>) -> Flow {
        self.flow_of(env, Connection::from_embryo)
    }

    /// Constructs the connection of a plain embryo in place, since it is large.
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
        let Arrival { key, hash, .. } = *self.rx.arrival;
        let (ipv6, listener) = (!key.remote.is_ipv4(), ListenerId(self.embryo.listener()));
        let connection = make(env, self.embryo, self.timestamp_offset, ipv6, self.rx.segment);
        Flow::accepted(key, hash, self.neighbour, connection, listener)
    }
}
