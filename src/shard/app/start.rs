//! The start of the service, once the local addresses are verified.

use crate::shard::app::service::Service;
use crate::shard::engine::Engine;

impl Engine {
    /// Starts the service if nothing keeps it from starting.
    pub(in crate::shard) fn start_service(&mut self, service: &mut dyn Service) {
        if self.may_start() {
            self.service.started = true;
            service.on_start(self);
        }
    }

    /// Returns true if the service has not started yet and nothing keeps it from starting.
    #[inline]
    pub(in crate::shard) fn may_start(&self) -> bool {
        let service = &self.service;
        !service.started
            && !service.held_back
            && !service.draining
            && !self.ip.is_detecting(self.turn.now)
    }
}
