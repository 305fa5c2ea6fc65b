//! Step 7 of a turn: sends the pending output of connections, arms their timers, and removes those
//! that are over, into TIME-WAIT or out of the tables.

use crate::metrics::Event;
use crate::shard::app::service::Service;
use crate::shard::engine::Engine;
use crate::shard::flow::entry::Scheduled;
use crate::shard::mem::tx_queue::TxQueue;
use crate::shard::tx::pending::Progress;
use crate::tcp::{CloseReason, Phase};

impl Engine {
    /// Sends the pending output of every scheduled connection, including those that callbacks
    /// schedule meanwhile (an open from [`Service::on_closed`]).
    pub(in crate::shard) fn send_pending(
        &mut self,
        service: &mut dyn Service,
        queue: &mut TxQueue<'_>,
    ) {
        let mut next = 0;
        while let Some(index) = self.tcp.tx_pending.get(next).copied() {
            next += 1;
            let Some(flow) = self.tcp.tables.flows.at_mut(index) else { continue };
            flow.unschedule_tx();
            let progress = if flow.connection.is_quiet() {
                Progress::Done
            } else {
                self.send_segments(index, queue)
            };
            self.settle(index, progress, service);
            if progress == Progress::Unfinished
                && let Some(flow) = self.tcp.tables.flows.at_mut(index)
                && flow.schedule_tx() == Scheduled::Now
            {
                self.tcp.unfinished.push(index);
            }
        }
        self.tcp.tx_pending.clear();
        core::mem::swap(&mut self.tcp.tx_pending, &mut self.tcp.unfinished);
    }

    /// Arms the timer of a connection after it has sent, or removes the connection if it is over.
    fn settle(&mut self, index: u32, progress: Progress, service: &mut dyn Service) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        if flow.is_pending_fast_open() {
            self.settle_fast_open(index);
        }
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        let connection = &flow.connection;
        match connection.phase() {
            Phase::TimeWait if connection.is_over() => self.enter_time_wait(index, service),
            Phase::Closed if flow.is_close_reported() && progress == Progress::Done => {
                self.remove(index)
            }
            _ => {
                if let Some(at) = connection.poll_deadline() {
                    self.tcp.wheel.arm(index, at);
                }
            }
        }
    }

    /// Moves a connection to the table of TIME-WAIT, whose entries take 32 bytes. Both directions
    /// are closed and all data is read.
    fn enter_time_wait(&mut self, index: u32, service: &mut dyn Service) {
        let Some(conn) = self.tcp.tables.flows.id_at(index) else { return };
        // All other events are reported first.
        if self.tcp.tables.flows.at(index).is_some_and(|flow| flow.has_events()) {
            return;
        }
        self.notify_closed(service, conn, CloseReason::Finished);
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        flow.connection.release(&mut self.tcp.pool);
        self.tcp.orphans -= usize::from(flow.connection.is_orphan());
        let (state, timestamps) = flow.connection.to_time_wait();
        self.turn.counters.count(Event::TimeWait);
        self.tcp.wheel.disarm(index);
        if let Some(evicted) =
            self.tcp.tables.enter_time_wait(self.turn.now, index, state, timestamps)
        {
            self.turn.counters.count(Event::TimeWaitEvicted);
            self.tcp.release_port(&evicted.key);
        }
    }

    fn remove(&mut self, index: u32) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        flow.connection.release(&mut self.tcp.pool);
        self.tcp.orphans -= usize::from(flow.connection.is_orphan());
        let key = flow.key();
        self.tcp.tables.remove_flow(index);
        self.tcp.wheel.disarm(index);
        self.tcp.release_port(&key);
    }

    /// Updates the listener's count of pending Fast Open requests when the handshake of one is
    /// complete.
    #[cold]
    pub(in crate::shard) fn settle_fast_open(&mut self, index: u32) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        if flow.connection.is_pending_fast_open() {
            return;
        }
        let listener = flow.end_pending_fast_open();
        let connection = &flow.connection;
        let reset = connection.phase() == Phase::Closed
            && connection.close_reason() == Some(CloseReason::Reset);
        if reset {
            self.tcp.fast_open.pending.on_reset(listener.0, self.turn.now);
        } else {
            self.tcp.fast_open.pending.remove(listener.0);
        }
    }
}
