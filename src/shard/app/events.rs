//! Calls the service with the events of its connections.
//!
//! Works off the list of ready connections, in the order in which they became ready. A connection
//! is on the list at most once; its pending events are merged.

use crate::metrics::Event;
use crate::shard::app::service::{Service, SoftError};
use crate::shard::engine::Engine;
use crate::shard::flow::entry::{Flow, Scheduled};
use crate::shard::flow::id::{ConnId, ListenerId, NeighbourId};
use crate::tcp::{CloseReason, Events, Phase};

/// Events of an open connection, except that the peer closes.
const OPEN_EVENTS: Events =
    Events(Events::CONNECTED.0 | Events::URGENT.0 | Events::READABLE.0 | Events::WRITABLE.0);

/// Events reported by [`Service::on_soft_error`].
const SOFT_ERRORS: Events = Events(Events::UNANSWERED.0 | Events::UNREACHABLE.0);

impl Engine {
    /// Calls the service for every ready connection, including those that become ready by calls
    /// which the service makes meanwhile.
    pub(in crate::shard) fn run_application(&mut self, service: &mut dyn Service) {
        let mut next = 0;
        while let Some(index) = self.tcp.ready.get(next).copied() {
            next += 1;
            let Some(conn) = self.tcp.tables.flows.id_at(index) else { continue };
            let Some(flow) = self.tcp.tables.flows.at_mut(index) else { continue };
            flow.unschedule_ready();
            let pending = core::mem::take(&mut flow.pending);
            let accepted = flow.take_accepted();
            self.notify(service, conn, accepted, pending);
        }
        self.tcp.ready.clear();
    }

    fn notify(
        &mut self,
        service: &mut dyn Service,
        conn: ConnId,
        accepted: Option<ListenerId>,
        pending: Events,
    ) {
        if let Some(listener) = accepted {
            self.notify_accepted(service, conn, listener);
        }
        if pending.intersects(OPEN_EVENTS) {
            self.notify_open(service, conn, pending);
        }
        if pending.contains(Events::PEER_CLOSED) && self.is_live(conn) {
            service.on_peer_closed(self, conn);
        }
        if pending.intersects(SOFT_ERRORS) {
            self.notify_soft_error(service, conn, pending);
        }
        if pending.contains(Events::CLOSED) {
            self.on_connection_closed(service, conn);
        }
    }

    fn notify_accepted(&mut self, service: &mut dyn Service, conn: ConnId, listener: ListenerId) {
        self.turn.counters.count(Event::PassiveOpen);
        self.turn.counters.count(Event::Established);
        if let Some(took) = self.tcp.tables.flows.get(conn).and_then(|flow| flow.connection.srtt())
        {
            self.tcp.handshakes.record(took.as_nanos());
        }
        service.on_accept(self, conn, listener);
    }

    /// Reports the events of an open connection.
    fn notify_open(&mut self, service: &mut dyn Service, conn: ConnId, pending: Events) {
        if pending.contains(Events::CONNECTED) {
            self.turn.counters.count(Event::Established);
            let opened_at =
                self.tcp.tables.flows.get(conn).map_or(self.turn.now, |flow| flow.opened_at());
            let took = self.turn.now.since(opened_at);
            self.tcp.handshakes.record(took.as_nanos());
            self.learn_from_open(conn, None);
            service.on_connected(self, conn, took);
        }
        if pending.contains(Events::URGENT) && self.is_live(conn) {
            service.on_urgent(self, conn);
        }
        // An earlier callback may have aborted the connection, and discarded what it had to read.
        if pending.contains(Events::READABLE) && self.is_live(conn) {
            service.on_readable(self, conn);
        }
        if pending.contains(Events::WRITABLE) && self.is_live(conn) {
            service.on_writable(self, conn);
        }
    }

    /// Reports errors that do not end the connection.
    fn notify_soft_error(&mut self, service: &mut dyn Service, conn: ConnId, pending: Events) {
        if pending.contains(Events::UNANSWERED) {
            // RFC 9293 §3.8.3 (b):
            //   > pass negative advice [...] to the IP layer, to trigger dead-gateway diagnosis
            let neighbour = self.tcp.tables.flows.get(conn).map(|flow| flow.neighbour);
            self.ip.neighbours.on_negative_advice(neighbour.unwrap_or(NeighbourId::NONE));
            if self.is_live(conn) {
                service.on_soft_error(self, conn, SoftError::Unanswered);
            }
        }
        if pending.contains(Events::UNREACHABLE) && self.is_live(conn) {
            service.on_soft_error(self, conn, SoftError::Unreachable);
        }
    }

    /// Handles the end of a connection. One that goes to TIME-WAIT is reported later, when it moves
    /// to that table with all data read.
    fn on_connection_closed(&mut self, service: &mut dyn Service, conn: ConnId) {
        let Some(flow) = self.tcp.tables.flows.get(conn) else { return };
        if flow.connection.phase() == Phase::Closed {
            // A closed connection without a reason was aborted.
            let reason = flow.connection.close_reason().unwrap_or(CloseReason::Aborted);
            self.notify_closed(service, conn, reason);
        }
    }

    /// Reports the end of a connection, once, and makes its handle stale.
    pub(in crate::shard) fn notify_closed(
        &mut self,
        service: &mut dyn Service,
        conn: ConnId,
        reason: CloseReason,
    ) {
        let Some(flow) =
            self.tcp.tables.flows.get_mut(conn).filter(|flow| !flow.is_close_reported())
        else {
            return;
        };
        flow.set_close_reported();
        let user = flow.user;
        self.learn_from_open(conn, Some(reason));
        let event = if reason == CloseReason::Finished { Event::Finished } else { Event::Broken };
        self.turn.counters.count(event);
        // Scheduled once more, so that this turn removes it from the tables.
        let Some(flow) = self.tcp.tables.flows.get_mut(conn) else { return };
        if flow.schedule_tx() == Scheduled::Now {
            self.tcp.tx_pending.push(conn.index);
        }
        service.on_closed(self, conn, user, reason);
    }

    /// Returns true if the connection can still have events: it is open, or has data left to read.
    /// After an abort or a reset only the end is reported.
    fn is_live(&self, conn: ConnId) -> bool {
        let live = |flow: &Flow| {
            let closed = flow.connection.phase() == Phase::Closed;
            !flow.is_close_reported() && (!closed || flow.connection.readable() > 0)
        };
        self.tcp.tables.flows.get(conn).is_some_and(live)
    }
}
