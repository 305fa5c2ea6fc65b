//! Step 6 of a turn: the timers of connections, embryos, TIME-WAIT, the IP layer and the service.

use crate::metrics::Event;
use crate::shard::app::service::Service;
use crate::shard::engine::Engine;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::mem::tx_queue::TxQueue;
use crate::time::Instant;

impl Engine {
    /// Handles every timer that is due.
    pub(in crate::shard) fn advance_timers(
        &mut self,
        service: &mut dyn Service,
        queue: &mut TxQueue<'_>,
    ) {
        while let Some(owner) = self.tcp.wheel.pop(self.turn.now) {
            match owner.checked_sub(self.tcp.first_embryo) {
                None => self.on_connection_deadline(owner),
                Some(embryo) => self.on_embryo_deadline(embryo, queue),
            }
        }
        while let Some(key) = self.tcp.tables.pop_time_wait(self.turn.now) {
            self.tcp.release_port(&key);
        }
        self.poll_neighbours(queue);
        self.ip.expire_datagrams(&mut self.turn, queue);
        if self.ip.dad.next_deadline().is_some_and(|at| at <= self.turn.now) {
            self.ip.poll_dad(&mut self.turn, queue);
        }
        self.poll_discovery(queue);
        self.start_service(service);
        if self.service.alarm.is_some_and(|at| at <= self.turn.now) {
            self.service.alarm = None;
            service.on_alarm(self);
        }
    }

    /// Handles an expired wheel entry of a connection. The wheel is lazily re-armed: the
    /// connection's own deadline may be later than the entry.
    fn on_connection_deadline(&mut self, index: u32) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        match flow.connection.poll_deadline() {
            Some(at) if at <= self.turn.now => {
                let before = flow.connection.timeouts();
                flow.connection.on_deadline(&mut conn_env!(self.tcp, self.turn.now));
                if flow.connection.timeouts() > before {
                    self.turn.counters.count(Event::Timeout);
                    self.give_negative_advice(index);
                    self.collect_path_events(index);
                }
                self.tcp.schedule(index);
            }
            Some(at) => self.tcp.wheel.arm(index, at),
            None => {}
        }
    }

    /// Passes negative advice to the neighbour cache once R1 is reached. RFC 9293 §3.8.3 (b):
    ///   > When the number of transmissions of the same segment reaches or exceeds threshold R1,
    ///   > pass negative advice [...] to the IP layer, to trigger dead-gateway diagnosis. (MUST-20)
    fn give_negative_advice(&mut self, index: u32) {
        let flow = self.tcp.tables.flows.at(index).filter(|flow| flow.connection.is_past_r1());
        if let Some(neighbour) = flow.map(|flow| flow.neighbour) {
            self.ip.neighbours.on_negative_advice(neighbour);
        }
    }

    /// Returns the time of the next turn if nothing arrives before.
    pub(in crate::shard) fn deadline(&self) -> Option<Instant> {
        let pending = !self.tcp.tx_pending.is_empty()
            || !self.tcp.ready.is_empty()
            || !self.ip.resolved.is_empty();
        if pending {
            return Some(self.turn.now);
        }
        let due = [
            self.tcp.wheel.next_deadline(),
            self.tcp.tables.time_waits.next_deadline(),
            self.ip.next_deadline(),
            self.service.alarm,
            self.tcp.pressure.deadline(self.tcp.pool.accounts().can_reopen(), self.turn.now),
        ];
        due.into_iter().flatten().min()
    }
}
