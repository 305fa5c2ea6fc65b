//! Step 6: what is due by now, of connections, embryos, TIME-WAIT, neighbours and the application.

use super::egress::Outlet;
use super::engine::{Engine, lend};
use super::service::Service;
use crate::metrics::Event;
use crate::time::Instant;

impl Engine {
    /// Everything that is due.
    pub(super) fn advance_timers(&mut self, service: &mut dyn Service, outlet: &mut Outlet<'_>) {
        while let Some(owner) = self.wheel.pop(self.now) {
            match owner.checked_sub(self.first_embryo) {
                None => self.on_connection_deadline(owner),
                Some(embryo) => self.on_embryo_deadline(embryo, outlet),
            }
        }
        while let Some(key) = self.tables.pop_time_wait(self.now) {
            self.port_released(&key);
        }
        self.tend_neighbours(outlet);
        self.expire_datagrams(outlet);
        if self.claims.next_deadline().is_some_and(|at| at <= self.now) {
            self.tend_claims(outlet);
        }
        self.tend_discovery(outlet);
        self.start_service(service);
        if self.alarm.is_some_and(|at| at <= self.now) {
            self.alarm = None;
            service.on_alarm(self);
        }
    }

    /// The wheel is lazy: the connection's own deadline may have moved on since it was armed.
    fn on_connection_deadline(&mut self, index: u32) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        match flow.connection.poll_deadline() {
            Some(at) if at <= self.now => {
                let before = flow.connection.timeouts();
                flow.connection.on_deadline(&mut lend!(self));
                if flow.connection.timeouts() > before {
                    self.counters.count(Event::Timeout);
                    self.doubt_neighbour(index);
                    self.take_path_mtu_event(index);
                }
                self.touched(index);
            }
            Some(at) => self.wheel.arm(index, at),
            None => {}
        }
    }

    /// RFC 9293 §3.8.3 (b):
    ///   > When the number of transmissions of the same segment reaches or exceeds threshold R1, pass
    ///   > negative advice [...] to the IP layer, to trigger dead-gateway diagnosis. (MUST-20)
    fn doubt_neighbour(&mut self, index: u32) {
        let flow = self.tables.flows.at(index).filter(|flow| flow.connection.is_past_r1());
        if let Some(neighbour) = flow.map(|flow| flow.neighbour) {
            self.neighbours.on_doubt(neighbour);
        }
    }

    /// When the shard wants its next turn although nothing arrives.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting =
            !self.marked.is_empty() || !self.ready.is_empty() || !self.resolved.is_empty();
        if waiting {
            return Some(self.now);
        }
        let due = [
            self.wheel.next_deadline(),
            self.tables.time_waits.next_deadline(),
            self.neighbours.next_deadline(),
            self.reassembly.next_deadline(),
            self.claims.next_deadline(),
            self.discovery.as_deref().and_then(|discovery| discovery.next_deadline()),
            self.alarm,
            self.tending.deadline(self.pool.accounts().can_reopen(), self.now),
        ];
        due.into_iter().flatten().min()
    }
}
