//! The service around an executor: records how connections end, before the executor learns of it.

use std::rc::Rc;

use super::stage::Stage;
use crate::net::Executor;
use crate::shard::{CloseReason, ConnId, Io, ListenerId, Service};
use crate::sim::{End, Place};
use crate::time::{Duration, Instant};

/// An executor whose connections are watched.
pub(super) struct Witnessed {
    pub(super) executor: Executor,
    pub(super) stage: Rc<Stage>,
    pub(super) place: Place,
}

impl Service for Witnessed {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.executor.on_start(io);
    }

    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        self.executor.on_accept(io, conn, listener);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        self.executor.on_connected(io, conn, took);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.executor.on_readable(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.executor.on_writable(io, conn);
    }

    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.executor.on_peer_closed(io, conn);
    }

    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, reason: CloseReason) {
        self.stage.ended(self.place, conn, End::Closed(reason));
        self.executor.on_closed(io, conn, user, reason);
    }

    fn on_wake(&mut self, io: &mut dyn Io) {
        self.executor.on_wake(io);
    }

    fn on_drain(&mut self, io: &mut dyn Io, deadline: Instant) {
        self.executor.on_drain(io, deadline);
    }

    fn on_turn_end(&mut self, io: &mut dyn Io) {
        self.executor.on_turn_end(io);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.executor.on_alarm(io);
    }
}
